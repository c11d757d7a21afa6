//! The Jinja environment that chat templates are written for: the one of Hugging Face's transformers.
//!
//! Source: `_compile_jinja_template` in `transformers/utils/chat_template_utils.py`: blocks trim their newline and the
//! blanks before them, loop controls, `raise_exception`, `strftime_now`, and a `tojson` that does not escape HTML.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value, escape_formatter};

use crate::namespace::{self, ensure_printable};
use crate::{json, multiplication, python_methods};

/// How deep blocks and macros may nest at run time; a macro counts for several.
const RECURSION_LIMIT: usize = 150;

/// What `raise_exception` was called with; found again as the source of the rendering error.
#[derive(Debug)]
pub(crate) struct Raised(pub(crate) String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// An environment without templates.
pub(crate) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(false);
    environment.set_recursion_limit(RECURSION_LIMIT);
    environment.set_unknown_method_callback(python_methods::call);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_test("iterable", is_iterable);
    environment.add_function("namespace", namespace::namespace);
    environment.add_function(namespace::KEEP, namespace::keep);
    environment.set_formatter(format);
    environment.add_filter(multiplication::FACTOR, multiplication::factor);
    environment.add_filter("string", string);
    environment.add_filter("join", join);
    // No chat template needs it, and it prints without measure.
    environment.remove_filter("pprint");
    environment.add_function("raise_exception", raise_exception);
    Ok(environment)
}

fn raise_exception(message: &str) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception was called").with_source(Raised(message.to_owned())))
}

fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    ensure_printable(state, value)?;
    escape_formatter(out, state, value)
}

fn string(state: &State, value: Value) -> Result<Value, Error> {
    ensure_printable(state, &value)?;
    Ok(if value.as_str().is_some() { value } else { Value::from(value.to_string()) })
}

fn join(state: &mut State, value: Value, separator: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    ensure_printable(state, &value)?;
    let separator = separator.or(named.get("d")?).map_or_else(String::new, |separator| separator.to_string());
    let items: Vec<Value> = match named.get::<Option<Value>>("attribute")? {
        Some(attribute) => value.try_iter()?.map(|item| item.get_item(&attribute)).collect::<Result<_, _>>()?,
        None => value.try_iter()?.collect(),
    };
    named.assert_all_used()?;
    // Numbers and the like are short.
    let size = items.iter().map(|item| item.as_str().map_or(8, str::len) + separator.len()).sum();
    python_methods::ensure_fuel(state, size)?;
    Ok(Value::from(items.iter().map(Value::to_string).collect::<Vec<_>>().join(&separator)))
}

/// Escapes for HTML as MarkupSafe does; minijinja's own filter does nothing where automatic escaping is off.
fn escape(state: &State, value: &Value) -> Result<String, Error> {
    ensure_printable(state, value)?;
    let text = value.to_string();
    // The longest entity is five bytes for one.
    state.consume_fuel((text.len() / 64 * 6) as u64)?;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            other => escaped.push(other),
        }
    }
    Ok(escaped)
}

/// Python cannot iterate over `None`, though minijinja can; templates ask this of the tools before counting them.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}
