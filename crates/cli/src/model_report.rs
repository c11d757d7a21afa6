//! What is in a model file: for `ascua info`, as lines and as JSON.

use std::collections::BTreeMap;

use ascua::engine::EngineError;
use ascua::gguf::{Gguf, Metadata, Value};
use ascua::tokenizer::{Tokenizer, TokenizerKind, TokenizerOptions};
use ascua::{Error, Opened};
use serde::Serialize;

use crate::metadata_report::{Length, MetadataReport};
use crate::quantity::{bytes, count};
use crate::tensor_report::TensorReport;
use crate::terminal::Style;

/// A model file.
#[derive(Debug, Serialize)]
pub struct ModelReport {
    path: String,
    file_bytes: u64,
    files: usize,
    gguf_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    architecture: String,
    parameters: u64,
    bits_per_weight: f64,
    tensor_count: usize,
    /// Tensors and bytes of each encoding.
    types: Vec<TypeReport>,
    /// The architecture's own numbers: layers, heads, context …
    dimensions: BTreeMap<String, u64>,
    tokenizer: TokenizerReport,
    chat_template: bool,
    /// What it takes to run the model.
    pub memory: Option<MemoryReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<TensorReport>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataReport>,
}

#[derive(Debug, Serialize)]
struct TypeReport {
    #[serde(rename = "type")]
    name: &'static str,
    tensors: usize,
    elements: u64,
    bytes: u64,
}

#[derive(Debug, Default, Serialize)]
struct TokenizerReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pre_tokenizer: Option<String>,
    vocabulary: usize,
    adds_bos: bool,
    adds_eos: bool,
    special: Vec<SpecialReport>,
    ends_generation: Vec<u32>,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct SpecialReport {
    role: &'static str,
    id: u32,
    text: String,
}

/// Bytes a model takes at a context length, or why that is not known.
#[derive(Debug, Default, Serialize)]
pub struct MemoryReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<usize>,
    weights: u64,
    cache: u64,
    scratch: u64,
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<u64>,
    fits: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_context: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl MemoryReport {
    /// Of an attempt to open a model.
    pub fn new(opened: Result<Opened, Error>) -> MemoryReport {
        match opened {
            Ok(opened) => {
                let plan = opened.plan();
                MemoryReport {
                    context: Some(opened.context()),
                    weights: plan.weights,
                    cache: plan.cache,
                    scratch: plan.scratch,
                    total: plan.total(),
                    available: ascua::available_memory(),
                    fits: true,
                    ..MemoryReport::default()
                }
            }
            Err(Error::Engine(EngineError::DoesNotFit {
                needed,
                weights,
                cache,
                scratch,
                context,
                available,
                largest_context,
            })) => MemoryReport {
                context: Some(context),
                weights,
                cache,
                scratch,
                total: needed,
                available: Some(available),
                largest_context: Some(largest_context),
                ..MemoryReport::default()
            },
            Err(error) => MemoryReport { error: Some(error.to_string()), ..MemoryReport::default() },
        }
    }

    fn line(&self) -> String {
        if let Some(error) = &self.error {
            return format!("cannot be planned: {error}");
        }
        let mut line = format!(
            "{} for a context of {}: weights {}, cache {}, scratch {}",
            bytes(self.total),
            self.context.unwrap_or(0),
            bytes(self.weights),
            bytes(self.cache),
            bytes(self.scratch)
        );
        if let Some(available) = self.available {
            line.push_str(&format!("; {} free", bytes(available)));
        }
        match self.largest_context {
            Some(0) => line.push_str("; does not fit"),
            Some(largest) => line.push_str(&format!("; does not fit, --ctx {largest} would")),
            None => {}
        }
        line
    }
}

impl ModelReport {
    /// Describes `file`.
    pub fn new(file: &Gguf) -> ModelReport {
        let metadata = file.metadata();
        let architecture = metadata.architecture().unwrap_or("unknown").to_owned();
        let mut types: Vec<TypeReport> = Vec::new();
        for tensor in file.tensors() {
            let name = tensor.tensor_type.name();
            let index = types.iter().position(|known| known.name == name).unwrap_or_else(|| {
                types.push(TypeReport { name, tensors: 0, elements: 0, bytes: 0 });
                types.len() - 1
            });
            types[index].tensors += 1;
            types[index].elements = types[index].elements.saturating_add(tensor.elements());
            types[index].bytes = types[index].bytes.saturating_add(tensor.bytes());
        }
        types.sort_by_key(|known| std::cmp::Reverse(known.bytes));
        let parameters = types.iter().map(|known| known.elements).fold(0, u64::saturating_add);
        let tensor_bytes = types.iter().map(|known| known.bytes).fold(0, u64::saturating_add);
        let text = |key: &str| metadata.string(key).ok().flatten().map(str::to_owned);
        ModelReport {
            path: file.paths().next().map(|path| path.display().to_string()).unwrap_or_default(),
            file_bytes: file.file_bytes(),
            files: file.paths().len(),
            gguf_version: file.version(),
            name: text("general.name"),
            dimensions: dimensions(metadata, &architecture),
            architecture,
            parameters,
            bits_per_weight: if parameters == 0 { 0.0 } else { tensor_bytes as f64 * 8.0 / parameters as f64 },
            tensor_count: file.tensors().len(),
            types,
            tokenizer: TokenizerReport::new(metadata),
            chat_template: text("tokenizer.chat_template").is_some_and(|template| !template.trim().is_empty()),
            memory: None,
            tensors: None,
            metadata: None,
        }
    }

    /// Adds the list of tensors.
    pub fn add_tensors(&mut self, file: &Gguf) {
        self.tensors = Some(file.tensors().iter().map(TensorReport::from).collect());
    }

    /// Adds all metadata keys, long values cut.
    pub fn add_metadata(&mut self, file: &Gguf) {
        self.metadata = Some(MetadataReport::new(file.metadata(), Length::Cut));
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let style = Style::of_stdout();
        let mut lines = Vec::new();
        let mut add =
            |title: &str, text: String| lines.push(format!("{} {text}", style.strong(&format!("{title:<13}"))));
        let parts = if self.files > 1 { format!(", {} files", self.files) } else { String::new() };
        add("file", format!("{} ({}, GGUF version {}{parts})", self.path, bytes(self.file_bytes), self.gguf_version));
        if let Some(name) = &self.name {
            add("name", name.clone());
        }
        add("architecture", self.architecture.clone());
        add(
            "parameters",
            format!(
                "{} in {} tensors, {:.2} bits per weight",
                count(self.parameters),
                self.tensor_count,
                self.bits_per_weight
            ),
        );
        for known in &self.types {
            let share = known.elements as f64 * 100.0 / self.parameters.max(1) as f64;
            let plural = if known.tensors == 1 { "" } else { "s" };
            add(
                "",
                format!("{:<8} {:>4} tensor{plural}, {} ({share:.1} %)", known.name, known.tensors, bytes(known.bytes)),
            );
        }
        for (name, value) in &self.dimensions {
            add("", format!("{name} {value}"));
        }
        self.tokenizer.lines(&mut add);
        add("template", if self.chat_template { "yes" } else { "none: for plain completion" }.to_owned());
        if let Some(memory) = &self.memory {
            add("memory", memory.line());
        }
        lines.extend(self.tensors.iter().flatten().map(TensorReport::line));
        lines.extend(self.metadata.iter().flat_map(MetadataReport::lines));
        lines
    }
}

/// The single whole numbers under the architecture's name.
fn dimensions(metadata: &Metadata, architecture: &str) -> BTreeMap<String, u64> {
    let prefix = format!("{architecture}.");
    let number = |(key, value): (&str, &Value)| {
        let name = key.strip_prefix(&prefix)?.replace(['_', '.'], " ");
        Some((name, u64::try_from(value.integer()?).ok()?))
    };
    metadata.iter().filter_map(number).collect()
}

impl TokenizerReport {
    fn new(metadata: &Metadata) -> TokenizerReport {
        let tokenizer = match Tokenizer::from_metadata(metadata, &TokenizerOptions::default()) {
            Ok(tokenizer) => tokenizer,
            Err(error) => return TokenizerReport { error: Some(error.to_string()), ..TokenizerReport::default() },
        };
        let special = tokenizer.special_tokens();
        let roles = [
            ("bos", special.bos),
            ("eos", special.eos),
            ("eot", special.eot),
            ("eom", special.eom),
            ("unknown", special.unknown),
            ("separator", special.separator),
            ("padding", special.padding),
            ("mask", special.mask),
            ("fim prefix", special.fim_prefix),
            ("fim suffix", special.fim_suffix),
            ("fim middle", special.fim_middle),
        ];
        let report = |(role, id): (&'static str, Option<u32>)| {
            let id = id?;
            let text = String::from_utf8_lossy(tokenizer.token_text(id)?).into_owned();
            Some(SpecialReport { role, id, text })
        };
        TokenizerReport {
            kind: Some(kind(tokenizer.kind())),
            model: Some(tokenizer.model_name().to_owned()),
            pre_tokenizer: (tokenizer.kind() == TokenizerKind::BytePair)
                .then(|| tokenizer.pre_tokenizer_name().to_owned()),
            vocabulary: tokenizer.vocabulary_size(),
            adds_bos: tokenizer.add_bos(),
            adds_eos: tokenizer.add_eos(),
            special: roles.into_iter().filter_map(report).collect(),
            ends_generation: tokenizer.end_of_generation_tokens().to_vec(),
            warnings: tokenizer.warnings().iter().map(ToString::to_string).collect(),
            error: None,
        }
    }

    fn lines(&self, add: &mut dyn FnMut(&str, String)) {
        if let Some(error) = &self.error {
            add("tokenizer", format!("none usable: {error}"));
            return;
        }
        let pre = self.pre_tokenizer.as_ref().map_or(String::new(), |name| format!(", pre-tokenizer {name}"));
        let adds = match (self.adds_bos, self.adds_eos) {
            (true, true) => ", adds bos and eos",
            (true, false) => ", adds bos",
            (false, true) => ", adds eos",
            (false, false) => "",
        };
        add(
            "tokenizer",
            format!(
                "{} ({}){pre}, {} tokens{adds}",
                self.kind.unwrap_or_default(),
                self.model.as_deref().unwrap_or_default(),
                self.vocabulary
            ),
        );
        let special = |token: &SpecialReport| format!("{} {} {}", token.role, token.id, token.text.escape_debug());
        add("", self.special.iter().map(special).collect::<Vec<_>>().join(", "));
        for warning in &self.warnings {
            add("", format!("warning: {warning}"));
        }
    }
}

fn kind(kind: TokenizerKind) -> &'static str {
    match kind {
        TokenizerKind::SentencePiece => "SentencePiece",
        TokenizerKind::BytePair => "byte-level BPE",
        TokenizerKind::WordPiece => "WordPiece",
        TokenizerKind::Unigram => "Unigram",
        TokenizerKind::Rwkv => "RWKV",
        TokenizerKind::Plamo2 => "PLaMo 2",
    }
}
