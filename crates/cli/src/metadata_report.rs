//! The keys of a file, as lines and as JSON.

use ascua::gguf::{Array, Metadata, Value};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;

use crate::terminal::Style;

/// How much of a long value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Its beginning.
    Cut,
    /// All of it.
    Full,
}

/// Elements of an array that are shown where it is cut.
const ELEMENTS: usize = 8;
/// Characters of a string on a line, where it is cut.
const CHARACTERS: usize = 100;

/// Keys with their values, in the file's order.
#[derive(Debug)]
pub struct MetadataReport(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    key: String,
    line: String,
    json: JsonValue,
}

/// A value in JSON, with its type: a number alone does not tell.
#[derive(Debug, Serialize)]
struct JsonValue {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Of an array.
    #[serde(skip_serializing_if = "Option::is_none")]
    element_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<usize>,
    /// Of a cut array, the first elements.
    value: serde_json::Value,
}

impl MetadataReport {
    /// Of `metadata`.
    pub fn new(metadata: &Metadata, length: Length) -> MetadataReport {
        let entry = |(key, value): (&str, &Value)| Entry {
            key: key.to_owned(),
            line: shown(value, length),
            json: json_value(value, length),
        };
        MetadataReport(metadata.iter().map(entry).collect())
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let style = Style::of_stdout();
        let line = |entry: &Entry| format!("{} = {}", style.strong(&entry.key.escape_debug().to_string()), entry.line);
        self.0.iter().map(line).collect()
    }
}

impl Serialize for MetadataReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for entry in &self.0 {
            map.serialize_entry(&entry.key, &entry.json)?;
        }
        map.end()
    }
}

/// A value on one line.
pub fn shown(value: &Value, length: Length) -> String {
    match value {
        Value::String(text) => {
            let most = if length == Length::Cut { CHARACTERS } else { usize::MAX };
            let cut = if text.chars().nth(most).is_some() { "…" } else { "" };
            format!("\"{}{cut}\"", text.chars().take(most).collect::<String>().escape_debug())
        }
        Value::Array(array) => {
            let (first, more) = elements(array, length);
            let first: Vec<String> = first.iter().map(serde_json::Value::to_string).collect();
            format!("[{}{}] ({} elements)", first.join(", "), if more { ", …" } else { "" }, array.len())
        }
        other => scalar(other).to_string(),
    }
}

fn json_value(value: &Value, length: Length) -> JsonValue {
    let kind = value.value_type().name();
    match value {
        Value::Array(array) => JsonValue {
            kind,
            element_type: Some(array.element_type().name()),
            elements: Some(array.len()),
            value: elements(array, length).0.into(),
        },
        other => JsonValue { kind, element_type: None, elements: None, value: scalar(other) },
    }
}

/// The elements to be shown, and whether there are more. Strings in arrays are bytes; what is no text is replaced.
fn elements(array: &Array, length: Length) -> (Vec<serde_json::Value>, bool) {
    let most = if length == Length::Cut { ELEMENTS } else { usize::MAX };
    let shown: Vec<serde_json::Value> = match array {
        Array::String(strings) => strings.iter().take(most).map(|text| String::from_utf8_lossy(text).into()).collect(),
        Array::Bool(flags) => flags.iter().take(most).map(|&flag| flag.into()).collect(),
        Array::Array(arrays) => arrays.iter().take(most).map(|inner| elements(inner, length).0.into()).collect(),
        Array::F32(numbers) => numbers.iter().take(most).map(|&number| single(number)).collect(),
        other => match other.integers() {
            Some(numbers) => numbers.take(most).map(integer).collect(),
            None => other.numbers().into_iter().flatten().take(most).map(|number| json!(number)).collect(),
        },
    };
    let more = array.len() > shown.len();
    (shown, more)
}

fn scalar(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::F32(number) => single(*number),
        Value::F64(number) => json!(number),
        other => other.integer().map_or(serde_json::Value::Null, integer),
    }
}

/// A 32-bit float in as few digits as tell it, not in those of the 64-bit one.
fn single(number: f32) -> serde_json::Value {
    number.to_string().parse::<f64>().map_or(serde_json::Value::Null, |number| json!(number))
}

/// Every GGUF integer is an i64 or a u64.
fn integer(number: i128) -> serde_json::Value {
    i64::try_from(number).map_or_else(|_| json!(number as u64), |number| json!(number))
}
