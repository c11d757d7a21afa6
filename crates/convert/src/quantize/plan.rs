//! What will be written: every tensor with its type and size, and the keys.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use ascua_gguf::{FirstPart, Metadata, SplitLimit, TensorInfo, TensorType, Value};
use fancy_regex::Regex;

use super::mix::{self, Mix, Model};
use super::tensor_names::{self, Part, layer};
use super::{FileType, QuantizeError, prune};
use crate::imatrix::ImportanceMatrix;
use crate::weights::Weights;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The mix.
    pub file_type: FileType,
    /// Keep every tensor's type: only keys, layers and parts change.
    pub copy: bool,
    /// No exceptions: every tensor gets the type of the mix.
    pub pure: bool,
    /// What matters in which tensor.
    pub importance: Option<Importance<'a>>,
    /// Types by name; the first pattern that fits counts.
    pub tensor_types: Vec<TypePattern>,
    /// Type of the output, and of a token embedding that is the output too.
    pub output_type: Option<TensorType>,
    /// Type of the token embedding.
    pub token_embedding_type: Option<TensorType>,
    /// Leave the output as it is.
    pub leave_output: bool,
    /// Quantise again what is quantised.
    pub allow_requantize: bool,
    /// Keys to be set.
    pub overrides: Vec<(String, Value)>,
    /// Layers to leave out.
    pub prune_layers: BTreeSet<u32>,
    /// How many files there will be.
    pub parts: Parts,
    /// Threads; 0: as many as the machine has.
    pub threads: usize,
}

/// Into how many files a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// One.
    #[default]
    One,
    /// As many as the input has.
    AsInput,
    /// As `ascua gguf split` cuts a model.
    Split {
        /// When a new part begins.
        limit: SplitLimit,
        /// What is in the first part.
        first: FirstPart,
    },
}

/// An importance matrix and what the output says of it.
#[derive(Clone, Copy, Debug)]
pub struct Importance<'a> {
    /// The matrix.
    pub matrix: &'a ImportanceMatrix,
    /// Its file, as the output names it.
    pub file: &'a str,
}

/// A type for the tensors whose name a regular expression is found in.
#[derive(Clone, Debug)]
pub struct TypePattern {
    /// The expression.
    pub pattern: String,
    /// The type.
    pub tensor_type: TensorType,
}

impl Options<'_> {
    /// A mix, and nothing special.
    pub fn new(file_type: FileType) -> Self {
        Options {
            file_type,
            copy: false,
            pure: false,
            importance: None,
            tensor_types: Vec::new(),
            output_type: None,
            token_embedding_type: None,
            leave_output: false,
            allow_requantize: false,
            overrides: Vec::new(),
            prune_layers: BTreeSet::new(),
            parts: Parts::One,
            threads: 0,
        }
    }
}

/// A tensor to be written.
#[derive(Clone, Debug)]
pub struct PlannedTensor {
    /// What the input has.
    pub source: TensorInfo,
    /// Its name and type in the output.
    pub target: TensorInfo,
    /// The type it would have had, were its rows whole blocks of it.
    pub instead_of: Option<TensorType>,
    /// Whether its type is garbage without importance, and there is none.
    pub lacks_importance: bool,
}

/// What will be written.
pub struct Plan<'a> {
    pub(super) weights: &'a dyn Weights,
    pub(super) options: Options<'a>,
    pub(super) metadata: Metadata,
    /// The tensors, in their order in the output.
    pub tensors: Vec<PlannedTensor>,
}

impl<'a> Plan<'a> {
    /// Chooses the type of every tensor.
    pub fn new(weights: &'a dyn Weights, options: Options<'a>) -> Result<Plan<'a>, QuantizeError> {
        let mut metadata = weights.metadata().clone();
        for (key, value) in &options.overrides {
            metadata.insert(key, value.clone());
        }
        let mut model = model(&metadata)?;
        if let Some(&layer) = options.prune_layers.iter().find(|&&layer| layer >= model.layers) {
            return Err(QuantizeError::Layer { layer, layers: model.layers });
        }
        let mut sources: Vec<(&TensorInfo, String)> = Vec::new();
        for tensor in weights.tensors() {
            if let Some(name) = prune::renamed(&tensor.name, &options.prune_layers) {
                sources.push((tensor, name));
            }
        }
        let mut tensors = planned_all(&mut model, &options, sources)?;
        if tensors.is_empty() {
            return Err(QuantizeError::Nothing { file_type: options.file_type });
        }
        if options.parts == Parts::AsInput {
            // Within a part as the input has them.
            tensors.sort_by_key(|tensor| (tensor.source.part(), tensor.source.start()));
        }
        set_keys(&mut metadata, &model, &options);
        Ok(Plan { weights, options, metadata, tensors })
    }

    /// The keys of the output.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Bytes of the input's tensors.
    pub fn bytes_before(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.source.bytes()).sum()
    }

    /// Bytes of the output's tensors.
    pub fn bytes_after(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.target.bytes()).sum()
    }

    /// Weights.
    pub fn elements(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.target.elements()).sum()
    }

    /// The importance of a tensor of the input: one number for each column and matrix.
    pub(super) fn importance_of(&self, source: &TensorInfo) -> Result<Option<Vec<f32>>, QuantizeError> {
        let entry = self.options.importance.and_then(|importance| importance.matrix.entries.get(&source.name));
        let Some(entry) = entry else { return Ok(None) };
        let matrices: u64 = source.shape.iter().skip(2).product();
        let wanted = source.row_elements() * matrices;
        if entry.sums.len() as u64 == wanted {
            return Ok(Some(entry.means()));
        }
        if Part::of(&source.name) == Part::TokenEmbedding {
            return Ok(None); // collected on rows that were looked up, not multiplied
        }
        Err(QuantizeError::ImportanceSize { name: source.name.clone(), found: entry.sums.len(), wanted })
    }
}

/// The types that tensors of a model with these keys get, in the order given; nothing of the model need be there yet.
///
/// # Errors
/// A key the choices need is missing, or a pattern is no regular expression.
pub fn tensor_types(
    metadata: &Metadata,
    tensors: &[TensorInfo],
    options: &Options<'_>,
) -> Result<Vec<TensorType>, QuantizeError> {
    let sources = tensors.iter().map(|tensor| (tensor, tensor.name.clone())).collect();
    let planned = planned_all(&mut model(metadata)?, options, sources)?;
    let types: HashMap<&str, TensorType> =
        planned.iter().map(|tensor| (tensor.target.name.as_str(), tensor.target.tensor_type)).collect();
    Ok(tensors.iter().map(|tensor| types[tensor.name.as_str()]).collect())
}

/// The tensors with the names they will have, as they will be written, in llama.cpp's order: some choices depend on it.
fn planned_all(
    model: &mut Model,
    options: &Options<'_>,
    mut sources: Vec<(&TensorInfo, String)>,
) -> Result<Vec<PlannedTensor>, QuantizeError> {
    let patterns = compile(&options.tensor_types)?;
    sources.sort_by(|(_, a), (_, b)| in_order(a, b));
    model.has_importance = options.importance.is_some();
    model.value_tensors = sources.iter().filter(|(_, name)| Part::of(name).makes_values()).count() as u32;
    model.tied = !sources.iter().any(|(_, name)| Part::of(name) == Part::Output);
    let mut mix = Mix::new(model, options.file_type);
    sources.into_iter().map(|(source, name)| planned(model, options, &patterns, &mut mix, source, name)).collect()
}

/// By layer, then name; what is in no layer comes first.
fn in_order(a: &str, b: &str) -> Ordering {
    let key = |name: &str| layer(name).map_or(-1, i64::from);
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

fn compile(patterns: &[TypePattern]) -> Result<Vec<(Regex, TensorType)>, QuantizeError> {
    let compiled = patterns.iter().map(|TypePattern { pattern, tensor_type }| {
        // Names are in lower case, and patterns may be written as one likes.
        match Regex::new(&pattern.to_lowercase()) {
            Ok(regex) => Ok((regex, *tensor_type)),
            Err(problem) => Err(QuantizeError::Pattern { pattern: pattern.clone(), problem: problem.to_string() }),
        }
    });
    compiled.collect()
}

fn planned(
    model: &Model,
    options: &Options<'_>,
    patterns: &[(Regex, TensorType)],
    mix: &mut Mix<'_>,
    source: &TensorInfo,
    name: String,
) -> Result<PlannedTensor, QuantizeError> {
    let renamed = TensorInfo::new(name.as_str(), source.shape.as_slice(), source.tensor_type);
    let renamed = renamed.map_err(|problem| QuantizeError::Write(problem.into()))?;
    let kept = options.copy
        || options.leave_output && Part::of(&name) == Part::Output
        || !tensor_names::is_quantised(&renamed, &model.architecture);
    if kept {
        let source = source.clone();
        return Ok(PlannedTensor { source, target: renamed, instead_of: None, lacks_importance: false });
    }
    let (wanted, chosen) = choose(options, patterns, mix, &renamed);
    let target = TensorInfo::new(name.as_str(), source.shape.as_slice(), chosen);
    let target = target.map_err(|problem| QuantizeError::Write(problem.into()))?;
    let needs = mix::needs_importance(&name, chosen, options.file_type) && chosen != source.tensor_type;
    let has = options.importance.is_some_and(|importance| importance.matrix.entries.contains_key(&source.name));
    let instead_of = (wanted != chosen).then_some(wanted);
    Ok(PlannedTensor { source: source.clone(), target, instead_of, lacks_importance: needs && !has })
}

/// The type wanted, and the one the rows allow.
fn choose(
    options: &Options<'_>,
    patterns: &[(Regex, TensorType)],
    mix: &mut Mix<'_>,
    tensor: &TensorInfo,
) -> (TensorType, TensorType) {
    let part = Part::of(&tensor.name);
    let row = tensor.row_elements();
    let named = patterns.iter().find(|(regex, _)| regex.is_match(&tensor.name).unwrap_or(false));
    let asked = match part {
        // The embedding of each layer is a large table of its own: a pattern that names it counts more.
        Part::TokenEmbedding if named.is_none() || tensor.name == "token_embd.weight" => options.token_embedding_type,
        Part::Output => options.output_type,
        _ => None,
    };
    let usual = options.file_type.tensor_type();
    let is_float = matches!(usual, TensorType::F32 | TensorType::F16 | TensorType::BF16);
    let wanted = match (asked, named) {
        (Some(asked), _) => asked,
        (None, _) if is_float => usual,
        (None, Some(&(_, named))) => named,
        (None, None) if options.pure => usual,
        (None, None) => mix.choose(tensor, options.output_type),
    };
    (wanted, mix::fallback(wanted, row))
}

/// What the choices need to know.
fn model(metadata: &Metadata) -> Result<Model, QuantizeError> {
    let architecture = metadata.architecture()?.to_owned();
    let number = |suffix: &str| -> Result<u32, QuantizeError> {
        let key = format!("{architecture}.{suffix}");
        let found = match metadata.get(&key) {
            // Where layers differ, the first counts.
            Some(Value::Array(_)) => metadata.unsigned_integers(&key)?.and_then(|all| all.first().copied()),
            _ => metadata.unsigned(&key)?,
        };
        Ok(found.and_then(|found| u32::try_from(found).ok()).unwrap_or(0))
    };
    let (layers, heads) = (number("block_count")?, number("attention.head_count")?);
    let keys = match number("attention.head_count_kv")? {
        0 if !metadata.contains(&format!("{architecture}.attention.head_count_kv")) => heads,
        keys => keys,
    };
    let is_70b = match architecture.as_str() {
        "llama" => layers == 80 && heads != keys,
        "qwen2" | "deci" | "olmo" => layers == 80,
        "jais2" => layers == 68,
        _ => false,
    };
    Ok(Model {
        layers,
        experts: number("expert_count")?,
        heads_per_key: heads.checked_div(keys).unwrap_or(0),
        is_70b,
        architecture,
        ..Model::default()
    })
}

/// The keys that say what the file is, at the end, as llama.cpp writes them.
fn set_keys(metadata: &mut Metadata, model: &Model, options: &Options<'_>) {
    let mut set = |key: &str, value: Value| {
        metadata.remove(key);
        metadata.insert(key, value);
    };
    /// Version of the block formats.
    const QUANTIZATION_VERSION: u32 = 2;
    set("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
    if !options.copy {
        set("general.file_type", Value::U32(options.file_type.id()));
    }
    for (key, value) in &options.overrides {
        set(key, value.clone());
    }
    if let Some(Importance { matrix, file }) = options.importance {
        set("quantize.imatrix.file", Value::String(file.to_owned()));
        if let Some(dataset) = matrix.datasets.first() {
            set("quantize.imatrix.dataset", Value::String(dataset.clone()));
        }
        set("quantize.imatrix.entries_count", Value::U32(matrix.entries.len() as u32));
        if matrix.chunk_count > 0 {
            set("quantize.imatrix.chunks_count", Value::U32(matrix.chunk_count));
        }
    }
    if !options.prune_layers.is_empty() {
        let left = model.layers - options.prune_layers.len() as u32;
        set(&format!("{}.block_count", model.architecture), Value::U32(left));
    }
    for key in
        [ascua_gguf::split::SPLIT_NUMBER_KEY, ascua_gguf::split::SPLIT_COUNT_KEY, ascua_gguf::split::SPLIT_TENSORS_KEY]
    {
        metadata.remove(key);
    }
}
