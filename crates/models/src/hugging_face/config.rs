//! `config.json`: numbers by any of the names they go by.
//!
//! Where a model has several senses, the part for text counts before the whole. A `null` counts as absent.

use serde_json::{Map, Value};

use super::{Family, RopeConfig};

/// The description of a checkpoint.
#[derive(Clone, Debug)]
pub struct Config {
    class: String,
    fields: Map<String, Value>,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no object.
    #[error("`config.json` holds no object")]
    NoObject,
    /// It does not say what it is.
    #[error("`config.json` names no class: `architectures` is missing")]
    NoClass,
    /// No family goes by the name.
    #[error("`config.json`: class `{class}` is not supported; supported are {supported}")]
    UnknownClass {
        /// The class.
        class: String,
        /// Those that would work.
        supported: String,
    },
    /// A field is missing.
    #[error("`config.json`: `{names}` is missing")]
    Missing {
        /// The names it goes by.
        names: String,
    },
    /// A field holds something else than it should.
    #[error("`config.json`: `{name}` is {found}, wanted {wanted}")]
    Field {
        /// The field.
        name: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: String,
    },
}

/// Names of the part for text.
const TEXT_PARTS: [&str; 2] = ["text_config", "llm_config"];

impl Config {
    /// Reads the parsed `config.json`.
    ///
    /// # Errors
    /// It is no object, or does not name its class.
    pub fn new(json: Value) -> Result<Config, ConfigError> {
        let Value::Object(mut fields) = json else { return Err(ConfigError::NoObject) };
        let class = fields.get("architectures").and_then(|classes| classes.get(0)).and_then(Value::as_str);
        let class = class.ok_or(ConfigError::NoClass)?.to_owned();
        for part in TEXT_PARTS {
            if let Some(Value::Object(text)) = fields.remove(part) {
                fields.extend(text);
            }
        }
        Ok(Config { class, fields })
    }

    /// Fills in what the family's class fills in.
    pub fn fill(&mut self, family: &dyn Family) {
        for &(name, value) in family.defaults() {
            if self.get(name).is_none() {
                let value = serde_json::from_str(value).unwrap_or(Value::Null);
                self.fields.insert(name.to_owned(), value);
            }
        }
    }

    /// The same with an output of its own, where it shares the embedding: what is placed beside weights tells them apart.
    pub fn untied(mut self) -> Config {
        self.fields.insert("tie_word_embeddings".into(), Value::Bool(false));
        self
    }

    /// Its class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// A field; `null` is none.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The first field there is, with its name.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, &Value)> {
        names.iter().find_map(|&name| self.get(name).map(|value| (name, value)))
    }

    /// A whole number that is not negative, by the first of its names that is there.
    ///
    /// # Errors
    /// It is no such number.
    pub fn unsigned(&self, names: &[&'static str]) -> Result<Option<u64>, ConfigError> {
        let wanted = "a whole number";
        self.first(names).map(|(name, value)| value.as_u64().ok_or_else(|| wrong(name, value, wanted))).transpose()
    }

    /// As [`Config::unsigned`], and it must be there.
    ///
    /// # Errors
    /// It is missing or no such number.
    pub fn required(&self, names: &[&'static str]) -> Result<u64, ConfigError> {
        self.unsigned(names)?.ok_or_else(|| ConfigError::Missing { names: names.join("` or `") })
    }

    /// A number, by the first of its names that is there.
    ///
    /// # Errors
    /// It is no number.
    pub fn float(&self, names: &[&'static str]) -> Result<Option<f64>, ConfigError> {
        self.first(names).map(|(name, value)| value.as_f64().ok_or_else(|| wrong(name, value, "a number"))).transpose()
    }

    /// Whether something is so.
    ///
    /// # Errors
    /// It is neither true nor false.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        self.get(name).map(|value| value.as_bool().ok_or_else(|| wrong(name, value, "true or false"))).transpose()
    }

    /// A field must hold what the architecture is built for, where it is there at all.
    ///
    /// # Errors
    /// It holds something else.
    pub fn only(&self, name: &'static str, built_for: impl Into<Value>) -> Result<(), ConfigError> {
        let built_for = built_for.into();
        match self.get(name) {
            Some(found) if *found != built_for => Err(wrong(name, found, &format!("{built_for}: no other is known"))),
            _ => Ok(()),
        }
    }

    /// Query heads.
    ///
    /// # Errors
    /// They are missing.
    pub fn heads(&self) -> Result<u64, ConfigError> {
        self.required(&["num_attention_heads", "n_head", "n_heads"])
    }

    /// Heads of keys and values.
    ///
    /// # Errors
    /// It is no number, or none is there.
    pub fn kv_heads(&self) -> Result<u64, ConfigError> {
        match self.unsigned(&["num_key_value_heads", "n_kv_heads", "n_head_kv"])? {
            Some(heads) => Ok(heads),
            None => self.heads(),
        }
    }

    /// Width of the residual stream.
    ///
    /// # Errors
    /// It is missing.
    pub fn width(&self) -> Result<u64, ConfigError> {
        self.required(&["hidden_size", "n_embd", "dim"])
    }

    /// Elements of a head.
    ///
    /// # Errors
    /// What it is computed from is missing.
    pub fn head_size(&self) -> Result<u64, ConfigError> {
        match self.unsigned(&["head_dim"])? {
            Some(size) => Ok(size),
            None => Ok(self.width()?.checked_div(self.heads()?).unwrap_or(0)),
        }
    }

    /// How positions are rotated.
    ///
    /// # Errors
    /// A field of it is not what it should be.
    pub fn rope(&self) -> Result<RopeConfig, ConfigError> {
        RopeConfig::new(self)
    }

    /// Whether the token embedding is the output too.
    pub(super) fn is_tied(&self, family: &dyn Family) -> bool {
        let tied = self.get("tie_word_embeddings").and_then(Value::as_bool);
        tied.unwrap_or_else(|| family.is_tied_by_default())
    }
}

/// The error of a field.
pub(super) fn wrong(name: &str, found: &Value, wanted: &str) -> ConfigError {
    let whole = found.to_string();
    let mut found: String = whole.chars().take(60).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if found.len() < whole.len() {
        found.push('…');
    }
    ConfigError::Field { name: name.to_owned(), found, wanted: wanted.to_owned() }
}
