//! `tokenizer.json` of Hugging Face's tokenizers, as it is written.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The file.
#[derive(Deserialize)]
pub(super) struct TokenizerJson {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedJson>,
    #[serde(default)]
    pub(super) normalizer: Value,
    #[serde(default)]
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    pub(super) post_processor: Value,
    #[serde(default)]
    pub(super) decoder: Value,
    pub(super) model: ModelJson,
}

/// A token that is found in text before anything else.
#[derive(Clone, Deserialize)]
pub(super) struct AddedJson {
    pub(super) id: u64,
    pub(super) content: String,
    #[serde(default)]
    pub(super) special: bool,
}

/// The fields of all kinds of models.
#[derive(Deserialize)]
pub(super) struct ModelJson {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) vocab: VocabJson,
    pub(super) merges: Option<Vec<MergeJson>>,
    pub(super) byte_fallback: Option<bool>,
    pub(super) ignore_merges: Option<bool>,
    pub(super) unk_token: Option<String>,
    pub(super) unk_id: Option<u64>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
}

/// Tokens with ids, or, for unigram models, with scores in order of id.
pub(super) enum VocabJson {
    Ids(Vec<(String, u64)>),
    Scores(Vec<(String, f64)>),
}

/// A merge, written in one string or in two.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum MergeJson {
    Line(String),
    Pair(String, String),
}

impl<'de> Deserialize<'de> for VocabJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<VocabJson, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = VocabJson;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("tokens with ids or scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VocabJson, A::Error> {
                let mut tokens = Vec::new();
                while let Some(token) = map.next_entry()? {
                    tokens.push(token);
                }
                Ok(VocabJson::Ids(tokens))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<VocabJson, A::Error> {
                let mut tokens: Vec<(String, f64)> = Vec::new();
                while let Some(token) = list.next_element()? {
                    tokens.push(token);
                }
                if tokens.iter().any(|(_, score)| !score.is_finite()) {
                    return Err(A::Error::custom("a score that is no number"));
                }
                Ok(VocabJson::Scores(tokens))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The steps of a normalizer, pre-tokenizer, post-processor or decoder: itself, or what its sequence holds.
pub(super) fn steps<'a>(component: &'a Value, list: &str) -> Vec<&'a Value> {
    if component.is_null() {
        return Vec::new();
    }
    match component.get(list).and_then(Value::as_array) {
        Some(parts) => parts.iter().flat_map(|part| steps(part, list)).collect(),
        None => vec![component],
    }
}

/// The `type` of a step.
pub(super) fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("")
}
