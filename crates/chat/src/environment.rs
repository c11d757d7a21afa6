//! The Jinja environment that chat templates are written for: the one of Hugging Face's transformers.
//!
//! Source: `_compile_jinja_template` in `transformers/utils/chat_template_utils.py`: blocks trim their newline and the
//! blanks before them, loop controls, `raise_exception`, `strftime_now`, a `tojson` that does not escape HTML, and the
//! `{% generation %}` block, which only marks the assistant's text for training.

use std::borrow::Cow;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};

use crate::{json, python_methods};

/// How deep blocks, macros and expressions may nest at run time; a thread's stack of 2 MiB holds this much.
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
    environment.set_recursion_limit(RECURSION_LIMIT);
    environment.set_unknown_method_callback(python_methods::call);
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_test("iterable", is_iterable);
    environment.add_function("raise_exception", raise_exception);
    Ok(environment)
}

fn raise_exception(message: &str) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception was called").with_source(Raised(message.to_owned())))
}

/// Escapes for HTML as MarkupSafe does; minijinja's own filter does nothing where automatic escaping is off.
fn escape(state: &State, value: &Value) -> Result<String, Error> {
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

/// Writes `{% generation %}` as a condition that always holds, which prints the same and is known to minijinja.
pub(crate) fn without_generation_blocks(source: &str) -> Cow<'_, str> {
    let mut plain = String::new();
    let mut copied = 0;
    for (start, _) in source.match_indices("{%") {
        let inside = &source[start + 2..];
        let Some(end) = inside.find("%}") else { break };
        let tag = &inside[..end];
        let name = tag.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let replacement = match name {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => continue,
        };
        plain.push_str(&source[copied..start + 2]);
        plain.push_str(&tag.replace(name, replacement));
        copied = start + 2 + end;
    }
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    plain.push_str(&source[copied..]);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_become_conditions() {
        let cases = [
            ("{% generation %}a{% endgeneration %}b", "{% if true %}a{% endif %}b"),
            ("{%- generation-%}a{%-endgeneration -%}", "{%- if true-%}a{%-endif -%}"),
            ("{%+ generation +%}{% if generation %}", "{%+ if true +%}{% if generation %}"),
            ("{% generation", "{% generation"),
            ("", ""),
        ];
        for (source, plain) in cases {
            assert_eq!(without_generation_blocks(source), plain);
        }
    }
}
