//! A low-rank adapter as PEFT saves it, as a file to be written.
//!
//! The pair beside a module, `lora_A` `[rank, columns]` and `lora_B` `[rows, rank]`, goes where the module's weight goes: the
//! family of the base model places it, and what happens to the rows of the weight (heads that change from halves to
//! pairs, parts of a stack, experts put together) happens to those of `lora_B`. Names and shapes are those of llama.cpp's
//! `convert_lora_to_gguf.py`. The file has one alpha; where pairs differ in strength beyond their rank, `lora_B` is
//! multiplied by the difference.
//!
//! Of the base model its `config.json` is read, no weights.

mod error;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ascua_gguf::{Metadata, TensorInfo, TensorType};
use ascua_models::adapter::{ALPHA_KEY, KIND_KEY, TYPE_KEY};
use ascua_models::hugging_face::{Change, Config, Family, Part, Piece, place};

pub use error::{PeftError, TensorOfAdapter};

use self::settings::{SETTINGS, Settings};
use super::assemble::{Assembled, Content, Source, divided};
use super::{Conversion, ConvertError, described, general};
use crate::checkpoint::{Checkpoint, StoredTensor, TensorProblem};
use crate::quantize::FileType;

/// Files of an adapter's weights, the preferred first.
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// What PEFT puts before the names of the base model's modules.
const PREFIX: &str = "base_model.model.";
/// The table in which tokens are looked up.
const TABLE: &str = "token_embd.weight";
/// Types an adapter can be written in.
pub const ADAPTER_TYPES: [FileType; 4] = [FileType::F32, FileType::F16, FileType::BF16, FileType::Q8_0];

/// Whether a directory looks like an adapter of PEFT.
pub fn is_peft(directory: &Path) -> bool {
    directory.join(SETTINGS).is_file() && WEIGHTS.iter().any(|weights| directory.join(weights).is_file())
}

/// An adapter of PEFT whose settings were read.
pub struct PeftAdapter {
    directory: PathBuf,
    settings: Settings,
}

/// What to make of an adapter.
#[derive(Clone, Copy, Debug)]
pub struct AdapterOptions<'a> {
    /// Directory with the base model's `config.json`; `None`: the one the adapter's settings name.
    pub base: Option<&'a Path>,
    /// One of [`ADAPTER_TYPES`].
    pub file_type: FileType,
    /// Tokens of the base model's tokenizer, for families whose files leave surplus ones out.
    pub tokens: Option<u64>,
}

/// Which half of which pair a tensor is.
struct Half<'a> {
    module: &'a str,
    kind: Kind,
    is_up: bool,
}

/// How the weight beside a pair is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Product,
    Table,
}

/// The tensors beside a module.
#[derive(Clone)]
struct Pair {
    kind: Kind,
    down: String,
    up: String,
}

impl PeftAdapter {
    /// Reads the settings of the adapter in `directory`.
    ///
    /// # Errors
    /// They cannot be read, or ask for what cannot be converted.
    pub fn open(directory: &Path) -> Result<PeftAdapter, ConvertError> {
        Ok(PeftAdapter { directory: directory.to_owned(), settings: Settings::read(directory)? })
    }

    /// The directory of the base model that the settings name, where it is one.
    pub fn base(&self) -> Option<&Path> {
        self.settings.base.as_deref().map(Path::new).filter(|base| base.is_dir())
    }

    /// The adapter as a file to be written; to be planned as a copy, since types are chosen already.
    ///
    /// # Errors
    /// A file is missing or damaged, the base model is not there or not known, or there is more to the adapter than pairs.
    pub fn conversion(&self, options: &AdapterOptions<'_>) -> Result<Conversion, ConvertError> {
        let PeftAdapter { directory, settings } = self;
        let base = options.base.or_else(|| self.base());
        let base = base.ok_or_else(|| PeftError::NoBase { name: settings.base.clone() })?;
        let (config, family) = described(base)?;
        let architecture = family.architecture(&config);
        // Beside an output that is the embedding a pair may stand nevertheless.
        let config = config.untied();
        let weights = WEIGHTS.iter().map(|name| directory.join(name)).find(|path| path.is_file());
        let weights = weights.ok_or_else(|| PeftError::NoWeights { path: directory.clone() })?;
        let mut checkpoint = Checkpoint::open_file(&weights)?;
        let pairs = pairs(&mut checkpoint)?;
        let placed = placed(&checkpoint, &config, family, pairs)?;
        let tokens = options.tokens.filter(|_| family.drops_surplus_tokens());
        let mut assembled = Vec::new();
        for (target, pieces) in placed {
            assembled.extend(halves(&checkpoint, settings, &target, pieces, tokens)?);
        }
        if assembled.is_empty() {
            return Err(PeftError::NoPairs { path: weights }.into());
        }
        let infos = assembled.iter().map(|half| info(half, options.file_type)).collect::<Result<Vec<_>, _>>()?;
        let mut metadata = Metadata::new();
        metadata.insert(ascua_gguf::ARCHITECTURE_KEY, architecture);
        general::write(&mut metadata, directory, &infos);
        metadata.remove("general.size_label"); // says how large a model is
        metadata.insert(TYPE_KEY.0, TYPE_KEY.1);
        metadata.insert(KIND_KEY.0, KIND_KEY.1);
        metadata.insert(ALPHA_KEY, settings.file_alpha() as f32);
        metadata.insert("general.file_type", options.file_type.id());
        Ok(Conversion { checkpoint, metadata, infos, assembled })
    }
}

/// Which half a tensor is, by its name; `None` for a weight of the base model that was saved too.
fn half(name: &str) -> Result<Option<Half<'_>>, TensorOfAdapter> {
    const ENDINGS: [(&str, Kind, bool); 4] = [
        (".lora_A.weight", Kind::Product, false),
        (".lora_B.weight", Kind::Product, true),
        (".lora_embedding_A", Kind::Table, false),
        (".lora_embedding_B", Kind::Table, true),
    ];
    let plain = name.strip_prefix(PREFIX).unwrap_or(name);
    for (ending, kind, is_up) in ENDINGS {
        if let Some(module) = plain.strip_suffix(ending) {
            return Ok(Some(Half { module, kind, is_up }));
        }
    }
    if plain.contains(".base_layer.") {
        return Ok(None); // frozen while the pair was trained
    }
    Err(match plain {
        _ if plain.contains("lora_magnitude_vector") => TensorOfAdapter::Magnitude,
        _ if plain.ends_with(".bias") => TensorOfAdapter::Bias,
        _ => TensorOfAdapter::Whole,
    })
}

/// The pairs by their modules; tables are turned so that tokens are rows.
fn pairs(checkpoint: &mut Checkpoint) -> Result<BTreeMap<String, Pair>, ConvertError> {
    let mut halves: BTreeMap<String, (Kind, [Option<String>; 2])> = BTreeMap::new();
    for tensor in checkpoint.tensors() {
        let found = half(&tensor.name).map_err(|problem| wrong(checkpoint, tensor, problem))?;
        let Some(Half { module, kind, is_up }) = found else { continue };
        if tensor.shape.len() != 2 || tensor.shape.contains(&0) {
            let problem = TensorOfAdapter::Dimensions { found: tensor.shape.clone() };
            return Err(wrong(checkpoint, tensor, problem));
        }
        if !tensor.dtype.is_decoded() || tensor.dtype.needs_scale() {
            return Err(checkpoint.problem(tensor, TensorProblem::NotFloats { dtype: tensor.dtype }).into());
        }
        let entry = halves.entry(module.to_owned()).or_insert((kind, [None, None]));
        // A pair of the other kind beside the same module has no partner, and is found so.
        if entry.0 == kind {
            entry.1[usize::from(is_up)] = Some(tensor.name.clone());
        } else {
            let problem = if kind == Kind::Table { TensorOfAdapter::NotATable } else { TensorOfAdapter::Table };
            return Err(wrong(checkpoint, tensor, problem));
        }
    }
    let mut pairs = BTreeMap::new();
    for (module, (kind, halves)) in halves {
        let (down, up) = match halves {
            [Some(down), Some(up)] => (down, up),
            [Some(lonely), None] | [None, Some(lonely)] => {
                let tensor = checkpoint.tensor(&lonely).expect("it was just found");
                let partner = match lonely.contains(".lora_A") || lonely.contains(".lora_embedding_A") {
                    true => lonely.replace(".lora_A", ".lora_B").replace(".lora_embedding_A", ".lora_embedding_B"),
                    false => lonely.replace(".lora_B", ".lora_A").replace(".lora_embedding_B", ".lora_embedding_A"),
                };
                return Err(wrong(checkpoint, tensor, TensorOfAdapter::Partner { partner }));
            }
            [None, None] => continue,
        };
        let (first, second) = (checkpoint.tensor(&down), checkpoint.tensor(&up));
        if let (Some(first), Some(second)) = (first, second)
            && first.shape[0] != second.shape[1]
        {
            let problem = TensorOfAdapter::Rank { found: second.shape.clone(), rank: first.shape[0] };
            return Err(wrong(checkpoint, second, problem));
        }
        if kind == Kind::Table {
            checkpoint.transpose(&down);
        }
        pairs.insert(module, Pair { kind, down, up });
    }
    Ok(pairs)
}

/// The pieces of every target, with the module they are of and its pair.
type Placed = BTreeMap<String, Vec<(Piece, String, Pair)>>;

fn placed(
    checkpoint: &Checkpoint,
    config: &Config,
    family: &dyn Family,
    pairs: BTreeMap<String, Pair>,
) -> Result<Placed, ConvertError> {
    let mut placed = Placed::new();
    for (module, pair) in pairs {
        let up = checkpoint.tensor(&pair.up).expect("pairs are of tensors of the checkpoint");
        let pieces =
            place(family, config, &format!("{module}.weight"))?.ok_or_else(|| ConvertError::UnknownTensor {
                path: checkpoint.file_of(up).to_owned(),
                name: up.name.clone(),
                class: config.class().to_owned(),
            })?;
        for piece in pieces {
            let problem = match (piece.change, pair.kind, piece.target == TABLE) {
                (Change::UnitRows, ..) => Some(TensorOfAdapter::Normalised),
                (Change::AddOne, ..) => Some(TensorOfAdapter::Whole),
                (Change::Keep, Kind::Table, false) => Some(TensorOfAdapter::NotATable),
                (Change::Keep, Kind::Product, true) => Some(TensorOfAdapter::Table),
                (Change::Keep, ..) => None,
            };
            if let Some(problem) = problem {
                return Err(wrong(checkpoint, up, problem));
            }
            placed.entry(piece.target.clone()).or_default().push((piece, module.clone(), pair.clone()));
        }
    }
    Ok(placed)
}

/// The two tensors of the file beside a weight.
fn halves(
    checkpoint: &Checkpoint,
    settings: &Settings,
    target: &str,
    mut pieces: Vec<(Piece, String, Pair)>,
    tokens: Option<u64>,
) -> Result<[Assembled; 2], ConvertError> {
    pieces.sort_by_key(|(piece, ..)| piece.expert);
    let tensor = |name: &str| checkpoint.tensor(name).expect("pairs are of tensors of the checkpoint");
    let (first_down, first_up) = (tensor(&pieces[0].2.down), tensor(&pieces[0].2.up));
    let is_mixed = pieces[0].0.expert.is_some();
    for (number, (piece, _, pair)) in pieces.iter().enumerate() {
        if !is_mixed && number > 0 {
            let (first, second) = (first_up.name.clone(), pair.up.clone());
            return Err(ConvertError::Twice { first, second, target: target.to_owned() });
        }
        if is_mixed && piece.expert != Some(number) {
            let count = pieces.last().and_then(|(piece, ..)| piece.expert).map_or(0, |last| last + 1);
            return Err(ConvertError::MissingExpert { target: target.to_owned(), expert: number, count });
        }
        for (name, wanted) in [(&pair.down, first_down), (&pair.up, first_up)] {
            let found = tensor(name);
            if found.shape != wanted.shape {
                let (found, wanted) = (found.shape.clone(), wanted.shape.clone());
                return Err(ConvertError::ExpertShape { name: name.clone(), found, wanted });
            }
        }
    }
    let rank = first_up.row_elements();
    let mut rows = divided(first_up, first_up.rows(), pieces[0].0.part.count)?;
    if let Some(heads) = pieces[0].0.paired_heads {
        divided(first_up, rows, heads.saturating_mul(2))?;
    }
    let mut down_rows = first_down.rows();
    match (target, tokens) {
        (TABLE, Some(tokens)) => down_rows = down_rows.min(tokens),
        ("output.weight", Some(tokens)) => rows = rows.min(tokens),
        _ => {}
    }
    let experts = is_mixed.then_some(pieces.len() as u64);
    let shape = |columns: u64, rows: u64| [columns, rows].into_iter().chain(experts).collect::<Vec<u64>>();
    let plain = |name: &str| Source {
        name: name.to_owned(),
        dtype: tensor(name).dtype,
        scale: None,
        part: Part { index: 0, count: 1 },
        paired_heads: None,
        change: Change::Keep,
        factor: 1.0,
    };
    let down = pieces.iter().map(|(.., pair)| plain(&pair.down)).collect();
    let up = pieces.iter().map(|(piece, module, pair)| Source {
        part: piece.part,
        paired_heads: piece.paired_heads,
        factor: settings.factor(module, rank) as f32,
        ..plain(&pair.up)
    });
    let (down, up) = (Content::Stored(down), Content::Stored(up.collect()));
    Ok([
        Assembled {
            target: format!("{target}.lora_a"),
            shape: shape(first_down.row_elements(), down_rows),
            content: down,
        },
        Assembled { target: format!("{target}.lora_b"), shape: shape(rank, rows), content: up },
    ])
}

/// What the file says of a half; rows that are not whole blocks of eight bits have sixteen.
fn info(half: &Assembled, file_type: FileType) -> Result<TensorInfo, ConvertError> {
    let wanted = file_type.tensor_type();
    let is_whole = half.shape[0].is_multiple_of(wanted.block_len() as u64);
    let tensor_type = if is_whole { wanted } else { TensorType::F16 };
    Ok(TensorInfo::new(half.target.as_str(), half.shape.as_slice(), tensor_type)?)
}

fn wrong(checkpoint: &Checkpoint, tensor: &StoredTensor, problem: TensorOfAdapter) -> ConvertError {
    PeftError::Tensor { path: checkpoint.file_of(tensor).to_owned(), name: tensor.name.clone(), problem }.into()
}
