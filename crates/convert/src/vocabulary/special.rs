//! Special tokens: which id has which role, and which are added around a text.
//!
//! Sources, the first that says something wins: `tokenizer_config.json` (by text, looked up among the added tokens of
//! `tokenizer.json`), then `config.json` (by id). Whether they are added is told by the post-processor of
//! `tokenizer.json`, then by `tokenizer_config.json`. The order and the exceptions are llama.cpp's (`gguf-py`), so that the
//! same files give the same keys.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tokenizer_json::{kind, steps};
use super::{Problem, VocabularyWarning};

/// Roles, and the names that GGUF has for them.
const KEYS: [(&str, &str); 12] = [
    ("bos", "bos_token_id"),
    ("eos", "eos_token_id"),
    ("unk", "unknown_token_id"),
    ("sep", "seperator_token_id"), // the key's own spelling
    ("pad", "padding_token_id"),
    ("cls", ""), // GGUF has none
    ("mask", "mask_token_id"),
    ("eot", "eot_token_id"),
    ("eom", "eom_token_id"),
    ("prefix", "prefix_token_id"),
    ("suffix", "suffix_token_id"),
    ("middle", "middle_token_id"),
];

/// What is known about special tokens.
#[derive(Default)]
pub(super) struct Special {
    /// Role to id.
    ids: BTreeMap<&'static str, u32>,
    /// Role to whether it is added.
    adds: BTreeMap<&'static str, bool>,
    /// Role to text, from `tokenizer_config.json`.
    texts: BTreeMap<&'static str, String>,
}

/// The files that are read.
pub(super) struct Sources<'a> {
    pub(super) tokenizer_config: Option<&'a Value>,
    pub(super) config: &'a Value,
    /// `post_processor` of `tokenizer.json`, if there is such a file.
    pub(super) post_processor: Option<&'a Value>,
    /// Added tokens of `tokenizer.json`: text and id.
    pub(super) added: &'a [(String, u64)],
    /// Number of tokens.
    pub(super) tokens: usize,
}

/// The text of a field that is a string or an object with `content`.
pub(super) fn content(field: Option<&Value>) -> Option<&str> {
    let field = field?;
    field.as_str().or_else(|| field.get("content")?.as_str())
}

impl Special {
    pub(super) fn read(sources: &Sources<'_>, warnings: &mut Vec<VocabularyWarning>) -> Result<Special, Problem> {
        let mut special = Special::default();
        let config = sources.tokenizer_config;
        for (role, _) in KEYS {
            if let Some(text) = content(config.and_then(|config| config.get(format!("{role}_token")))) {
                special.texts.insert(role, text.to_owned());
            }
        }
        if let Some(post_processor) = sources.post_processor {
            for (missing, stand_in) in [("bos", "cls"), ("eos", "sep")] {
                special.copy_text(missing, stand_in);
            }
            for step in steps(post_processor, "processors") {
                special.post_process(step);
            }
        }
        for (role, _) in KEYS {
            let says = config.and_then(|config| config.get(format!("add_{role}_token"))?.as_bool());
            if let Some(adds) = says {
                special.adds.entry(role).or_insert(adds);
            }
            let id = special.texts.get(role).and_then(|text| sources.added.iter().find(|(known, _)| known == text));
            if let Some((_, id)) = id {
                special.set(role, *id, sources.tokens, warnings);
            }
        }
        for (role, _) in KEYS {
            let field = format!("{role}_token_id");
            let within = sources.config.get("text_config").and_then(|text| text.get(&field));
            let Some(found) = sources.config.get(&field).filter(|found| !found.is_null()).or(within) else { continue };
            match found.as_i64() {
                Some(id) if id >= 0 => special.set(role, id as u64, sources.tokens, warnings),
                Some(id) if role != "pad" => return Err(Problem::SpecialToken { field, found: id.to_string() }),
                _ => {} // a list of ids, or -1 for no padding
            }
        }
        Ok(special)
    }

    /// Sets the id of a role that has none yet.
    pub(super) fn set(&mut self, role: &'static str, id: u64, tokens: usize, warnings: &mut Vec<VocabularyWarning>) {
        if self.ids.contains_key(role) {
            return;
        }
        match u32::try_from(id) {
            Ok(id) if (id as usize) < tokens => {
                self.ids.insert(role, id);
            }
            _ => warnings.push(VocabularyWarning::SpecialBeyondModel { role, id, limit: tokens as u64 }),
        }
    }

    /// Whether no role has an id.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Overrides whether a role is added.
    pub(super) fn set_added(&mut self, role: &'static str, adds: bool) {
        self.adds.insert(role, adds);
    }

    /// The keys, without `tokenizer.ggml.`, and their values.
    pub(super) fn keys(&self) -> Vec<(String, ascua_gguf::Value)> {
        let id = |(role, key): &(&'static str, &str)| Some((key.to_string(), (*self.ids.get(role)?).into()));
        let ids = KEYS.iter().filter(|(_, key)| !key.is_empty()).filter_map(id);
        let adds = ["bos", "eos", "sep"].into_iter();
        let adds = adds.filter_map(|role| Some((format!("add_{role}_token"), (*self.adds.get(role)?).into())));
        ids.chain(adds).collect()
    }

    fn copy_text(&mut self, missing: &'static str, from: &str) {
        if self.texts.get(missing).is_none_or(String::is_empty)
            && let Some(text) = self.texts.get(from).cloned()
        {
            self.texts.insert(missing, text);
        }
    }

    fn is(&self, role: &str, text: &str) -> bool {
        self.texts.get(role).is_some_and(|known| known == text)
    }

    fn post_process(&mut self, step: &Value) {
        match kind(step) {
            "ByteLevel" => {
                self.adds.entry("bos").or_insert(false);
                self.adds.entry("eos").or_insert(false);
            }
            "RobertaProcessing" => {
                for role in ["bos", "eos", "sep"] {
                    self.adds.insert(role, true);
                }
                for (role, field) in [("cls", "cls"), ("sep", "sep")] {
                    if let Some(text) = step.get(field).and_then(|pair| pair.get(0)).and_then(Value::as_str) {
                        self.texts.entry(role).or_insert_with(|| text.to_owned());
                    }
                }
            }
            "TemplateProcessing" => self.template(step),
            _ => {}
        }
    }

    /// The tokens around one text, and between two.
    fn template(&mut self, step: &Value) {
        let list = |name: &str| step.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let special = |part: Option<&Value>| part?.pointer("/SpecialToken/id")?.as_str().map(str::to_owned);
        let sequence = |part: Option<&Value>| part?.pointer("/Sequence/id")?.as_str().map(str::to_owned);
        let single = list("single");
        let (mut first, mut last) = (None, None);
        if single.len() > 1 {
            (first, last) = (special(single.first()), special(single.last()));
        }
        if let Some(text) = &first {
            if !self.is("bos", text) && !self.is("cls", text) {
                for role in ["bos", "cls"] {
                    self.texts.entry(role).or_insert_with(|| text.clone());
                }
            }
            self.adds.insert("bos", self.is("bos", text) || self.is("cls", text));
        }
        if let Some(text) = &last {
            if !self.is("eos", text) {
                // The model's own end is then that of a turn or of a message.
                if let Some(end) = self.texts.insert("eos", text.clone()) {
                    let role = if self.texts.contains_key("eot") { "eom" } else { "eot" };
                    self.texts.insert(role, end);
                }
            }
            self.adds.insert("eos", true);
        }
        let pair = list("pair");
        let start = usize::from(first.is_some() && special(pair.first()) == first);
        let stop = usize::from(last.is_some() && special(pair.last()) == last);
        let Some(between) = pair.get(start..pair.len().saturating_sub(stop)) else { return };
        let ends = (sequence(between.first()), sequence(between.last()));
        if ends != (Some("A".to_owned()), Some("B".to_owned())) || between.len() < 3 {
            return;
        }
        let middle = &between[1..between.len() - 1];
        let separates = |text: Option<String>| text.is_some_and(|text| self.is("sep", &text) || self.is("eos", &text));
        let one = separates(special(middle.first())) && last.is_none();
        let adds = one || (middle.len() == 2 && separates(special(middle.get(1))));
        self.adds.insert("sep", adds);
        if adds {
            let end = self.texts.get("eos").cloned();
            if let Some(end) = end {
                self.texts.entry("sep").or_insert(end);
            }
        }
    }
}
