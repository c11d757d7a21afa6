//! `generation_config.json`: the sampling that the makers of a model recommend.

use ascua_gguf::Value as Metadata;
use serde_json::Value;

/// How a value is written.
enum Form {
    Text,
    Whole,
    Real,
}

/// Names in the file, the name behind `general.sampling.`, form. Of two names for a key the first counts.
const FIELDS: [(&str, &str, Form); 13] = [
    ("sequence", "sequence", Form::Text),
    ("top_k", "top_k", Form::Whole),
    ("top_p", "top_p", Form::Real),
    ("min_p", "min_p", Form::Real),
    ("xtc_probability", "xtc_probability", Form::Real),
    ("xtc_threshold", "xtc_threshold", Form::Real),
    ("temperature", "temp", Form::Real),
    ("penalty_last_n", "penalty_last_n", Form::Whole),
    ("penalty_repeat", "penalty_repeat", Form::Real),
    ("repetition_penalty", "penalty_repeat", Form::Real),
    ("mirostat", "mirostat", Form::Whole),
    ("mirostat_tau", "mirostat_tau", Form::Real),
    ("mirostat_eta", "mirostat_eta", Form::Real),
];

/// The keys `general.sampling.*`; fields of another form are passed over.
pub(super) fn read(file: &Value) -> Vec<(String, Metadata)> {
    let mut keys: Vec<(String, Metadata)> = Vec::new();
    for (field, name, form) in FIELDS {
        let Some(found) = file.get(field) else { continue };
        let value: Option<Metadata> = match form {
            Form::Text => found.as_str().map(Metadata::from),
            Form::Whole => found.as_i64().and_then(|number| i32::try_from(number).ok()).map(Metadata::from),
            Form::Real => found.as_f64().map(|number| (number as f32).into()),
        };
        let key = format!("general.sampling.{name}");
        if let Some(value) = value.filter(|_| keys.iter().all(|(known, _)| *known != key)) {
            keys.push((key, value));
        }
    }
    keys
}
