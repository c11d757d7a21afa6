//! `adapter_config.json` of PEFT: how strong the pairs are, and whether there is more to the adapter than pairs.
//!
//! Names and defaults are those of PEFT 0.21's `LoraConfig`; what is not there has the default.

use std::fmt;
use std::path::Path;

use fancy_regex::Regex;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value};

use super::PeftError;
use crate::checkpoint::{CheckpointError, read_json};
use crate::convert::ConvertError;

/// The file that makes a directory an adapter.
pub(super) const SETTINGS: &str = "adapter_config.json";

/// Settings that change what the pairs mean, or add something to them; all must be off.
const OFF: [&str; 16] = [
    "use_dora", // llama.cpp's files of adapters have no magnitudes either
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "fan_in_fan_out",
    "bias",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "invocation_string",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "ensure_weight_tying",
];
/// Ways to begin the training that leave the model's weights as they were.
const BEGINNINGS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// What is read of the settings.
pub(super) struct Settings {
    /// The model it was made for: a name on a hub or a directory.
    pub base: Option<String>,
    alpha: f64,
    rank: f64,
    /// Alphas of modules whose names fit, the first that fits.
    alphas: Vec<(Regex, f64)>,
    /// Divided by the root of the rank (Kalajdzievski 2023), not by the rank.
    stabilised: bool,
}

impl Settings {
    /// Reads those in `directory`.
    pub fn read(directory: &Path) -> Result<Settings, ConvertError> {
        let path = directory.join(SETTINGS);
        let file: Option<File> = read_json(&path)?;
        let File { alpha_pattern, fields } =
            file.ok_or_else(|| PeftError::NoSettings { path: directory.to_owned() })?;
        let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
        match field("peft_type") {
            Some(Value::String(kind)) if kind == "LORA" => {}
            found => return Err(setting("peft_type", found, "\"LORA\": no other is supported").into()),
        }
        for name in OFF {
            if let Some(found) = field(name).filter(|value| !is_off(value)) {
                return Err(setting(name, Some(found), "it off: more than low-rank pairs is not supported").into());
            }
        }
        match field("init_lora_weights") {
            None | Some(Value::Bool(_)) => {}
            Some(Value::String(name)) if BEGINNINGS.contains(&name.as_str()) => {}
            found => {
                let wanted = "a beginning that leaves the weights of the model as they are; PEFT can save such an \
                              adapter as a plain one (`path_initial_model_for_weight_conversion`)";
                return Err(setting("init_lora_weights", found, wanted).into());
            }
        }
        let number = |name: &str, default: f64| match field(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .filter(|&number| number != 0.0 && (number as f32).is_finite())
                .ok_or_else(|| setting(name, Some(value), "a number that is not 0")),
        };
        let base = field("base_model_name_or_path").and_then(Value::as_str).filter(|name| !name.is_empty());
        Ok(Settings {
            base: base.map(str::to_owned),
            alpha: number("lora_alpha", 8.0)?,
            rank: number("r", 8.0)?.abs(),
            alphas: alphas(&path, alpha_pattern.unwrap_or_default())?,
            stabilised: field("use_rslora").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// The alpha of the file: what a reader divides by a pair's rank.
    pub fn file_alpha(&self) -> f64 {
        if self.stabilised { self.alpha * self.rank.sqrt() } else { self.alpha }
    }

    /// What a pair must be multiplied by, so that the file's alpha divided by its rank makes it as strong as it is.
    pub fn factor(&self, module: &str, rank: u64) -> f64 {
        let named = self.alphas.iter().find(|(pattern, _)| pattern.is_match(module).unwrap_or(false));
        let alpha = named.map_or(self.alpha, |&(_, alpha)| alpha);
        let wanted = if self.stabilised { alpha * (rank as f64).sqrt() } else { alpha };
        wanted / self.file_alpha()
    }
}

/// `alpha_pattern`, compiled as PEFT matches it: a name, the end of one after a dot, or a regular expression for these.
fn alphas(path: &Path, patterns: InOrder) -> Result<Vec<(Regex, f64)>, ConvertError> {
    let compiled = patterns.0.into_iter().map(|(pattern, alpha)| match Regex::new(&format!(r"^(.*\.)?({pattern})$")) {
        Ok(_) if !(alpha as f32).is_finite() => {
            let problem = format!("`{}` has the value {alpha}", pattern.escape_debug());
            Err(CheckpointError::Json { path: path.to_owned(), problem }.into())
        }
        Ok(regex) => Ok((regex, alpha)),
        Err(problem) => {
            let pattern = pattern.escape_debug().to_string();
            Err(PeftError::Pattern { pattern, problem: problem.to_string() }.into())
        }
    });
    compiled.collect()
}

/// All of the file.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    alpha_pattern: Option<InOrder>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// Numbers by name, in the order of the file: the first that fits counts.
#[derive(Default)]
struct InOrder(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<InOrder, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = InOrder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers by the names of modules")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(InOrder(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Whether a value says that something is not so.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "none",
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn setting(name: &str, found: Option<&Value>, wanted: &str) -> PeftError {
    let found = found.map_or("missing".into(), |found| {
        let text: String = found.to_string().chars().take(60).collect();
        text.escape_debug().to_string().replace("\\\"", "\"")
    });
    PeftError::Setting { name: name.into(), found, wanted: wanted.into() }
}
