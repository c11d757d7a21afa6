//! Python's methods on strings, lists and dicts, as templates call them.
//!
//! Most come from minijinja-contrib. Here stand those it lacks, and those whose result can be far longer than what they
//! are made from: their size is paid for before they are made.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Answers a method call that minijinja itself does not know.
pub(crate) fn call(state: &mut State, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let known = match value.as_str() {
        Some(text) => string_method(state, text, method, arguments)?,
        None if value.kind() == ValueKind::Seq => list_method(value, method, arguments)?,
        None => None,
    };
    match known {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

/// Fails unless the fuel that is left would pay for `bytes` of text.
pub(crate) fn ensure_fuel(state: &State, bytes: usize) -> Result<(), Error> {
    match state.fuel_levels() {
        Some((_, left)) if (bytes / 64) as u64 >= left => state.consume_fuel(left.saturating_add(1)),
        _ => Ok(()),
    }
}

fn string_method(state: &State, text: &str, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "replace" => {
            let (old, new): (&str, &str) = match arguments {
                [old, new, ..] => (text_of(old)?, text_of(new)?),
                _ => return Ok(None),
            };
            let places = text.len() / old.len().max(1) + 1;
            ensure_fuel(state, places.saturating_mul(new.len()))?;
            return Ok(None);
        }
        "join" => {
            let mut size = 0_usize;
            if let [items] = arguments {
                for item in items.try_iter()? {
                    size = size.saturating_add(text.len()).saturating_add(item.as_str().map_or(0, str::len));
                }
                ensure_fuel(state, size)?;
            }
            return Ok(None);
        }
        "format" => {
            // A width may be asked for in digits, or be the value of another argument; values may be repeated.
            let longest_value = arguments.iter().map(|value| value.as_str().map_or(64, str::len)).max().unwrap_or(0);
            let fields = text.matches('{').count();
            ensure_fuel(state, fields.saturating_mul(longest_value.saturating_add(greatest_number(text))))?;
            return Ok(None);
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            let split = if method == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
            let parts = match split {
                Some((before, after)) => [before, separator, after],
                None if method == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            parts.into_iter().collect()
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(arguments)?;
            let pieces =
                most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.saturating_add(1));
            let mut parts: Vec<&str> = match separator {
                Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "rsplit: the separator is empty")),
                Some(separator) => text.rsplitn(pieces, separator).collect(),
                None => words_from_the_end(text, pieces),
            };
            parts.reverse();
            parts.into_iter().collect()
        }
        "zfill" | "ljust" | "rjust" => {
            let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
            let missing = width.saturating_sub(text.chars().count());
            let fill = if method == "zfill" { "0" } else { fill.unwrap_or(" ") };
            ensure_fuel(state, missing.saturating_mul(fill.len()))?;
            let padding = fill.repeat(missing);
            Value::from(match (method, text.strip_prefix(['-', '+'])) {
                ("ljust", _) => format!("{text}{padding}"),
                ("zfill", Some(digits)) => format!("{}{padding}{digits}", &text[..1]),
                _ => format!("{padding}{text}"),
            })
        }
        "index" => {
            let (part,): (&str,) = from_args(arguments)?;
            let found = text.find(part).map(|at| text[..at].chars().count());
            Value::from(found.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "index: substring not found"))?)
        }
        "casefold" => Value::from(text.to_lowercase()),
        "swapcase" => {
            let swapped = |character: char| -> String {
                if character.is_uppercase() {
                    character.to_lowercase().collect()
                } else {
                    character.to_uppercase().collect()
                }
            };
            Value::from(text.chars().map(swapped).collect::<String>())
        }
        _ => return Ok(None),
    }))
}

fn list_method(list: &Value, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (item,): (&Value,) = from_args(arguments)?;
            let found = list.try_iter()?.position(|other| other == *item);
            found
                .map(|at| Some(Value::from(at)))
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "index: not in list"))
        }
        "copy" => Ok(Some(list.clone())),
        _ => Ok(None),
    }
}

fn text_of(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "a text was expected"))
}

/// The greatest run of digits in a text, as a number.
fn greatest_number(text: &str) -> usize {
    let runs = text.split(|character: char| !character.is_ascii_digit()).filter(|run| !run.is_empty());
    runs.map(|run| run.parse().unwrap_or(usize::MAX)).max().unwrap_or(0)
}

/// `str.rsplit()` without a separator: from the end, words between any white space, the rest in the last piece.
fn words_from_the_end(text: &str, pieces: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() && parts.len() + 1 < pieces {
        let cut = rest.rfind(char::is_whitespace);
        let start = cut.map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}
