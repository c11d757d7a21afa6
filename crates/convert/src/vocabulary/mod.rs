//! The tokenizer of a Hugging Face checkpoint → the keys of GGUF that describe it.
//!
//! [`read`] looks for the files in the order in which llama.cpp's converter does, gathers tokens (`readers`, `tiktoken`),
//! special tokens (`special`), chat templates, recommended sampling, and names the pre-tokenizer (`pre_tokenizer`).
//! Invariant: what comes out builds a tokenizer; the same files give the keys and values that llama.cpp's converter gives.
//! Where that would give other ids than the checkpoint's own tokenizer, the ids count: scores of a BPE with byte fallback
//! follow from its merges, and unigram models are written as such whatever the architecture.

mod base64;
mod directory;
mod error;
mod merges;
mod pre_tokenizer;
mod protobuf;
mod readers;
mod sampling;
mod sentence_piece;
mod special;
mod templates;
mod tiktoken;
mod tokenizer_json;
mod tokens;

use std::path::Path;

use ascua_gguf::{Metadata, Value as GgufValue};
use ascua_tokenizer::{Tokenizer, TokenizerOptions};
use serde_json::Value;

use directory::Directory;
pub use error::{Problem, VocabularyError, VocabularyWarning};
use pre_tokenizer::Clues;
use readers::{Context, Tokens};
use special::{Sources, Special, content};
use tiktoken::Family;
use tokenizer_json::{TokenizerJson, kind, steps};
use tokens::Added;

/// What the tokenizer's files do not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// `general.architecture` of the model file.
    pub architecture: &'a str,
    /// The name for `tokenizer.ggml.pre` that the user asks for.
    pub pre_tokenizer: Option<&'a str>,
}

/// A converted tokenizer.
#[derive(Debug)]
pub struct Vocabulary {
    /// Keys and values: `tokenizer.*` and `general.sampling.*`.
    pub metadata: Metadata,
    /// What the user should know.
    pub warnings: Vec<VocabularyWarning>,
}

const PREFIX: &str = "tokenizer.ggml.";
const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";

/// Reads the tokenizer of a checkpoint.
///
/// # Errors
/// No tokenizer, damaged files, ids beyond the model's embedding, a pre-tokenizer without a known name, or a name for one
/// that the tokenizer does not have.
pub fn read(directory: &Path, facts: &Facts<'_>) -> Result<Vocabulary, VocabularyError> {
    let directory = Directory(directory);
    let mut warnings = Vec::new();
    let config: Value = directory.json("config.json")?.unwrap_or_default();
    let tokenizer_config: Option<Value> = directory.json("tokenizer_config.json")?;
    let files = Files { directory: &directory, config: &config, tokenizer_config: tokenizer_config.as_ref(), facts };
    let found = files.tokens(&mut warnings)?;
    let Found { tokens: Tokens { model, table, merges, flags }, clues, post_processor, normalizer, added, family } =
        found;
    if let Some(name) = facts.pre_tokenizer
        && let Some(kind) = kind_without_names(model)
    {
        return Err(VocabularyError::NoPreTokenizer { name: name.to_owned(), kind });
    }

    let sources = Sources {
        tokenizer_config: tokenizer_config.as_ref(),
        config: &config,
        post_processor: post_processor.as_ref(),
        added: &added,
        tokens: table.len(),
    };
    let special = Special::read(&sources, &mut warnings);
    let mut special = special.map_err(|problem| directory.fault("config.json", problem))?;
    if let Some(family) = family {
        let none = special.is_empty();
        for (role, text) in tiktoken::default_roles(family) {
            if let Some(id) = table.id(text).filter(|_| none || *role == "unk") {
                special.set(role, id.into(), table.len(), &mut warnings);
            }
        }
    }
    files.adjust(&mut special, table.len(), &mut warnings);

    let mut metadata = Metadata::new();
    metadata.insert(format!("{PREFIX}model"), model);
    if model != "gpt2" {
        metadata.insert(pre_tokenizer::KEY, "default");
    }
    let [texts, scores, kinds] = table.arrays().map_err(|problem| directory.fault("config.json", problem))?;
    metadata.insert(format!("{PREFIX}tokens"), texts);
    if matches!(model, "llama" | "t5") {
        metadata.insert(format!("{PREFIX}scores"), scores);
    }
    metadata.insert(format!("{PREFIX}token_type"), kinds);
    if let Some(merges) = merges.filter(|merges| !merges.is_empty()) {
        metadata.insert(format!("{PREFIX}merges"), merges);
    }
    let flags = flags.into_iter().map(|(key, value)| (key.to_owned(), value));
    for (key, value) in flags.chain(special.keys()).chain(normalizer_flags(&normalizer)) {
        metadata.insert(format!("{PREFIX}{key}"), value);
    }
    files.prefix_space(&mut metadata);
    match model {
        "gpt2" => pre_tokenizer::name(&mut metadata, &clues, &mut warnings)?,
        "bert" => {
            let name = pre_tokenizer::word_piece_name(&metadata)?;
            metadata.insert(pre_tokenizer::KEY, name);
        }
        _ => {}
    }
    Tokenizer::from_metadata(&metadata, &TokenizerOptions::default())?;
    for (key, value) in templates::read(&directory, tokenizer_config.as_ref(), &mut warnings)? {
        metadata.insert(key, value);
    }
    if let Some(file) = directory.json::<Value>("generation_config.json")? {
        for (key, value) in sampling::read(&file) {
            metadata.insert(key, value);
        }
    }
    Ok(Vocabulary { metadata, warnings })
}

/// What a tokenizer is whose pre-tokenizer has no name.
fn kind_without_names(model: &str) -> Option<&'static str> {
    match model {
        "gpt2" => None,
        "llama" => Some("SentencePiece"),
        "t5" => Some("Unigram"),
        "bert" => Some("WordPiece"),
        _ => Some("of another kind"),
    }
}

/// What the tokenizer's own files say.
struct Found<'a> {
    tokens: Tokens,
    clues: Clues<'a>,
    /// Of `tokenizer.json`, where it is there.
    post_processor: Option<Value>,
    normalizer: Value,
    /// Added tokens of `tokenizer.json`.
    added: Vec<(String, u64)>,
    /// Of tiktoken's files.
    family: Option<Family>,
}

struct Files<'a> {
    directory: &'a Directory<'a>,
    config: &'a Value,
    tokenizer_config: Option<&'a Value>,
    facts: &'a Facts<'a>,
}

impl<'a> Files<'a> {
    fn tokens(&self, warnings: &mut Vec<VocabularyWarning>) -> Result<Found<'a>, VocabularyError> {
        let directory = self.directory;
        let file: Option<TokenizerJson> = directory.json("tokenizer.json")?;
        let specials = self.special_texts()?;
        let mut found = Found {
            tokens: Tokens::default(),
            clues: Clues { chosen: self.facts.pre_tokenizer, ..Clues::default() },
            post_processor: None,
            normalizer: Value::Null,
            added: Vec::new(),
            family: None,
        };
        let mut all = Vec::new();
        if let Some(file) = &file {
            found.post_processor = Some(file.post_processor.clone());
            found.normalizer = file.normalizer.clone();
            found.added = file.added_tokens.iter().map(|token| (token.content.clone(), token.id)).collect();
            all = file
                .added_tokens
                .iter()
                .map(|token| Added { text: token.content.clone(), id: token.id, special: token.special })
                .collect();
        }
        let beside = self.added_beside()?;
        let mut context = Context { size: self.size(), added: &beside, specials: &specials, warnings };
        let named = |name: &'static str| move |problem| directory.fault(name, problem);

        if let Some(path) = readers::tiktoken_file(directory)
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
            && let Some(bytes) = directory.bytes(name)?
        {
            found.family = Some(Family::Qwen);
            found.clues.likely = Some("qwen2");
            let read = tiktoken::read(&bytes, Family::Qwen, context);
            found.tokens = read.map_err(|problem| directory.fault(name, problem))?;
            return Ok(found);
        }
        if !self.wants_byte_pairs()
            && let Some(bytes) = directory.bytes("tokenizer.model")?
        {
            if !tiktoken::is_tiktoken(&bytes) {
                let fault = named("tokenizer.model");
                found.tokens = readers::sentence_piece(&bytes, &all, context).map_err(fault)?;
                return Ok(found);
            }
            if file.is_none() {
                found.family = Some(Family::Llama3);
                found.clues.likely = Some("llama-bpe");
                found.tokens = tiktoken::read(&bytes, Family::Llama3, context).map_err(named("tokenizer.model"))?;
                return Ok(found);
            }
        }
        if let Some(file) = file {
            found.clues.steps = Some(file.pre_tokenizer.clone());
            found.clues.ignore_merges = file.model.ignore_merges == Some(true);
            // What stands in tokenizer.json counts; tokenizer_config.json may add to it.
            all.extend(
                beside.iter().filter(|token| file.added_tokens.iter().all(|known| known.id != token.id)).cloned(),
            );
            context.added = &all;
            found.tokens = readers::tokenizer_json(file, context).map_err(named("tokenizer.json"))?;
        } else if directory.has("vocab.json") && directory.has("merges.txt") {
            found.clues.likely = self.likely_pre_tokenizer();
            found.tokens = readers::vocab_and_merges(directory, context)?;
        } else if let Some(text) = directory.text("vocab.txt")? {
            found.tokens = readers::vocab_text(&text, context).map_err(named("vocab.txt"))?;
            let lowercase = self.tokenizer_config.and_then(|config| config.get("do_lower_case")?.as_bool());
            found.normalizer = serde_json::json!({ "type": "BertNormalizer", "lowercase": lowercase.unwrap_or(true) });
        } else {
            return Err(VocabularyError::NoTokenizer { directory: directory.0.to_owned() });
        }
        Ok(found)
    }

    /// A number of config.json, of the text model where there are several.
    fn size(&self) -> Option<u64> {
        let field = |config: &Value| config.get("vocab_size")?.as_u64();
        field(self.config).or_else(|| field(self.config.get("text_config")?))
    }

    /// Phi-4 has the architecture of Phi-3, but GPT-2's kind of tokenizer.
    fn wants_byte_pairs(&self) -> bool {
        self.tokenizer_class() == Some("GPT2Tokenizer")
    }

    fn tokenizer_class(&self) -> Option<&str> {
        self.tokenizer_config?.get("tokenizer_class")?.as_str()
    }

    /// The pre-tokenizer that the Python class implies, where no file describes it.
    fn likely_pre_tokenizer(&self) -> Option<&'static str> {
        match self.tokenizer_class()?.trim_end_matches("Fast") {
            "GPT2Tokenizer" | "CodeGenTokenizer" => Some("gpt-2"),
            "Qwen2Tokenizer" => Some("qwen2"),
            _ => None,
        }
    }

    /// Added tokens of `added_tokens.json` and `tokenizer_config.json`; the latter counts where both have an id.
    fn added_beside(&self) -> Result<Vec<Added>, VocabularyError> {
        let mut added = std::collections::BTreeMap::new();
        let file: Option<std::collections::BTreeMap<String, u64>> = self.directory.json("added_tokens.json")?;
        for (text, id) in file.into_iter().flatten() {
            added.insert(id, Added { text, id, special: false });
        }
        let decoder = self.tokenizer_config.and_then(|config| config.get("added_tokens_decoder")?.as_object());
        for (id, token) in decoder.into_iter().flatten() {
            let number = id.parse().ok().zip(content(Some(token)));
            let (id, text) = number.ok_or_else(|| {
                let field = format!("added_tokens_decoder.{id}");
                self.directory.fault("tokenizer_config.json", Problem::SpecialToken { field, found: token.to_string() })
            })?;
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            added.insert(id, Added { text: text.to_owned(), id, special });
        }
        Ok(added.into_values().collect())
    }

    /// Texts that are special tokens because a role names them.
    fn special_texts(&self) -> Result<Vec<String>, VocabularyError> {
        let map: Option<Value> = self.directory.json("special_tokens_map.json")?;
        let mut texts = Vec::new();
        for file in [self.tokenizer_config, map.as_ref()].into_iter().flatten() {
            for role in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
                texts.extend(content(file.get(format!("{role}_token"))).map(str::to_owned));
            }
            let more = file.get("additional_special_tokens").and_then(Value::as_array).into_iter().flatten();
            texts.extend(more.filter_map(|token| content(Some(token))).map(str::to_owned));
        }
        texts.retain(|text| !text.is_empty());
        Ok(texts)
    }

    /// What single families of models need besides.
    fn adjust(&self, special: &mut Special, tokens: usize, warnings: &mut Vec<VocabularyWarning>) {
        if self.facts.architecture != "llama" {
            return;
        }
        match self.size() {
            // Code Llama: the tokens around a gap in a text.
            Some(32016) => {
                for (role, id) in [("prefix", 32007), ("suffix", 32008), ("middle", 32009), ("eot", 32010)] {
                    special.set(role, id, tokens, warnings);
                }
            }
            // The small Granite and SmolLM models.
            Some(49152) => special.set_added("bos", false),
            _ => {}
        }
    }

    /// Whether a space is put before the text: Gemma's models never want one, Llama's may say so.
    fn prefix_space(&self, metadata: &mut Metadata) {
        let says = self.tokenizer_config.and_then(|config| config.get("add_prefix_space")?.as_bool());
        match self.facts.architecture {
            "llama" => {
                if let Some(says) = says.filter(|_| !metadata.contains(SPACE_PREFIX)) {
                    metadata.insert(SPACE_PREFIX, says);
                }
            }
            "gemma2" | "gemma3" if metadata.string("tokenizer.ggml.model").ok().flatten() == Some("llama") => {
                metadata.insert(SPACE_PREFIX, false);
            }
            _ => {}
        }
    }
}

/// What the normalizer of `tokenizer.json` does to letters.
fn normalizer_flags(normalizer: &Value) -> Vec<(String, GgufValue)> {
    let (mut lowercase, mut strip_accents) = (None, None);
    for step in steps(normalizer, "normalizers") {
        match kind(step) {
            "Lowercase" => lowercase = Some(true),
            "StripAccents" => strip_accents = Some(true),
            "BertNormalizer" => {
                lowercase = step.get("lowercase").map_or(lowercase, Value::as_bool);
                strip_accents = step.get("strip_accents").map_or(strip_accents, Value::as_bool);
            }
            _ => {}
        }
    }
    let flag = |name: &str, value: Option<bool>| value.map(|value| (format!("normalizer.{name}"), value.into()));
    flag("lowercase", lowercase).into_iter().chain(flag("strip_accents", strip_accents)).collect()
}
