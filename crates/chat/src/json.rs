//! The `tojson` filter as Hugging Face's transformers has it: Python's `json.dumps` with `ensure_ascii=False`.
//!
//! Differences from Jinja's own filter: nothing is escaped for HTML, and `indent`, `separators`, `sort_keys` and
//! `ensure_ascii` are arguments. The cost of writing is charged while writing, since shared parts of a value can make its
//! text far longer than the value.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// Values nested deeper than this are refused: recursion must stay well within a thread's stack.
const MAX_DEPTH: usize = 100;

/// `value|tojson(indent=…, separators=…, sort_keys=…, ensure_ascii=…)`.
pub(crate) fn tojson(state: &State, value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent = match arguments.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) if indent.is_none() => None,
        Some(indent) => match (indent.as_str(), indent.as_usize()) {
            (Some(text), _) => Some(text.to_owned()),
            (None, Some(width)) if width <= 64 => Some(" ".repeat(width)),
            _ => return Err(invalid("tojson: indent must be a text or a number up to 64")),
        },
    };
    let separators = match arguments.get::<Option<Value>>("separators")? {
        Some(pair) if !pair.is_none() => {
            let part = |index| pair.get_item_by_index(index).ok().and_then(|part| part.as_str().map(str::to_owned));
            part(0).zip(part(1)).ok_or_else(|| invalid("tojson: separators must be two texts"))?
        }
        _ if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        _ => (", ".to_owned(), ": ".to_owned()),
    };
    let keys =
        if arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false) { Keys::Sorted } else { Keys::AsTheyAre };
    let ascii = arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let characters = if ascii { Characters::Ascii } else { Characters::Unicode };
    arguments.assert_all_used()?;
    let mut writer = Writer { state, text: String::new(), charged: 0, indent, separators, keys, characters };
    writer.value(value, 0)?;
    writer.charge()?;
    Ok(Value::from(writer.text))
}

#[derive(Clone, Copy, PartialEq)]
enum Keys {
    AsTheyAre,
    Sorted,
}

#[derive(Clone, Copy, PartialEq)]
enum Characters {
    Unicode,
    Ascii,
}

struct Writer<'a, 'env, 'template> {
    state: &'a State<'env, 'template>,
    text: String,
    /// How many bytes of the text have been paid for.
    charged: usize,
    indent: Option<String>,
    separators: (String, String),
    keys: Keys,
    characters: Characters,
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid("tojson: the value is nested too deeply"));
        }
        if self.text.len() >= self.charged + 4096 {
            self.charge()?;
        }
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => self.text.push_str(&value.to_string()),
            ValueKind::Number => {
                let number = f64::try_from(value.clone())?;
                self.text.push_str(&float(number));
            }
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.sequence(value, depth)?,
            ValueKind::Map => self.map(value, depth)?,
            other => {
                let message = format!("tojson: a value of type {other} is not JSON");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    fn sequence(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.text.push('[');
        let mut empty = true;
        for item in value.try_iter()? {
            self.between(empty, depth + 1);
            empty = false;
            self.value(&item, depth + 1)?;
        }
        self.close(empty, depth, ']');
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        // The list of keys itself is memory.
        self.state.consume_fuel(keys.len() as u64)?;
        if self.keys == Keys::Sorted {
            keys.sort();
        }
        self.text.push('{');
        let empty = keys.is_empty();
        for (index, key) in keys.iter().enumerate() {
            self.between(index == 0, depth + 1);
            match key.kind() {
                ValueKind::String => self.string(key.as_str().unwrap_or_default()),
                // Python turns other keys into text.
                ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                    self.text.push('"');
                    self.value(key, depth + 1)?;
                    self.text.push('"');
                }
                _ => return Err(invalid("tojson: a key must be a text or a number")),
            }
            self.text.push_str(&self.separators.1);
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        self.close(empty, depth, '}');
        Ok(())
    }

    fn between(&mut self, first: bool, depth: usize) {
        if !first {
            self.text.push_str(&self.separators.0);
        }
        self.line_break(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line_break(depth);
        }
        self.text.push(bracket);
    }

    fn line_break(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.text.push('\n');
            (0..depth).for_each(|_| self.text.push_str(indent));
        }
    }

    fn string(&mut self, string: &str) {
        self.text.push('"');
        for character in string.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                // Python escapes DEL only among non-ASCII characters, that is, never.
                control if control < ' ' => self.escape(control),
                beyond if !beyond.is_ascii() && self.characters == Characters::Ascii => self.escape(beyond),
                plain => self.text.push(plain),
            }
        }
        self.text.push('"');
    }

    fn escape(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            self.text.push_str(&format!("\\u{unit:04x}"));
        }
    }

    /// Pays for the text so far: one fuel for 64 bytes, as minijinja charges other text.
    fn charge(&mut self) -> Result<(), Error> {
        let fuel = (self.text.len() - self.charged).div_ceil(64);
        self.charged = self.text.len();
        self.state.consume_fuel(fuel as u64)
    }
}

/// A float as Python's `repr` writes it.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return (if number > 0.0 { "Infinity" } else { "-Infinity" }).to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // CPython switches to scientific notation below 1e-4 and from 1e16.
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = number.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::float;

    #[test]
    fn floats_as_python_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (f64::INFINITY, "Infinity"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }
}
