//! Low-rank adapters (LoRA, Hu et al. 2021): two thin matrices beside a weight, whose product changes what it answers.
//!
//! `y = W x + factor * up (down x)`: the weight stays as the file has it, quantised or not, and any number of adapters may
//! stand beside it. In the file, a GGUF as llama.cpp's converter writes it, the pair of the weight `NAME` is `NAME.lora_a`
//! (down, `[columns, rank]`) and `NAME.lora_b` (up, `[rank, rows]`), with a third dimension for the weights of experts. For
//! the token embedding `lora_a` is a table, `[rank, vocabulary]`, in which tokens are looked up. The factor is the user's scale
//! times alpha / rank; an alpha of zero leaves that out.
//!
//! Invariant: every tensor of an [`Adapter`] has its partner. Whether they fit a model is found when its graph is recorded.

mod error;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ascua_gguf::{Gguf, GgufError, TensorData, TensorInfo};

pub use error::{AdapterError, AdapterProblem};

const DOWN: &str = ".lora_a";
const UP: &str = ".lora_b";
/// What the graph calls an adapter's tensors begins so; the adapter's number and the tensor's name follow.
const GRAPH_PREFIX: &str = "lora.";

/// `general.type` of a file, and what it says of an adapter.
pub const TYPE_KEY: (&str, &str) = ("general.type", "adapter");
/// What kind of adapter.
pub const KIND_KEY: (&str, &str) = ("adapter.type", "lora");
/// The number that, divided by the rank, multiplies the product.
pub const ALPHA_KEY: &str = "adapter.lora.alpha";
/// Tokens after which the adapter has an effect (activated LoRA).
const ACTIVATION_KEY: &str = "adapter.alora.invocation_tokens";

/// An adapter that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenAdapterError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] GgufError),
    /// It is no adapter that can be used.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// An adapter, and how strongly it counts. Cheap to clone: the file stays where it is.
#[derive(Clone, Debug)]
pub struct Adapter {
    name: Arc<str>,
    file: Arc<Gguf>,
    /// Places in the file's list of tensors, by the weight they stand beside.
    pairs: Arc<BTreeMap<String, Pair>>,
    alpha: f32,
    scale: f32,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    down: usize,
    up: usize,
}

/// The two matrices an adapter has beside a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LowRank<'a> {
    pub down: &'a TensorInfo,
    pub up: &'a TensorInfo,
    /// What their product is multiplied by.
    pub factor: f32,
}

impl LowRank<'_> {
    /// Width between the matrices.
    pub fn rank(&self) -> usize {
        self.up.row_elements() as usize
    }
}

impl Adapter {
    /// Maps the adapter in the GGUF file at `path`, as strong as it was trained.
    ///
    /// # Errors
    /// The file cannot be read, or is no LoRA adapter.
    pub fn open(path: impl AsRef<Path>) -> Result<Adapter, OpenAdapterError> {
        let path = path.as_ref();
        Ok(Adapter::new(Gguf::open(path)?, path.display().to_string())?)
    }

    /// As [`Adapter::open`], of a file already read; errors will call it `name`.
    ///
    /// # Errors
    /// It is no LoRA adapter.
    pub fn new(file: Gguf, name: impl Into<String>) -> Result<Adapter, AdapterError> {
        let name = name.into();
        match read(&file) {
            Ok((pairs, alpha)) => {
                let (file, pairs) = (Arc::new(file), Arc::new(pairs));
                Ok(Adapter { name: name.into(), file, pairs, alpha, scale: 1.0 })
            }
            Err(problem) => Err(AdapterError { name, problem: Box::new(problem) }),
        }
    }

    /// `scale` times as strong as it was trained.
    ///
    /// # Errors
    /// The scale is not finite.
    pub fn scaled(self, scale: f32) -> Result<Adapter, AdapterError> {
        if !scale.is_finite() {
            return Err(self.error(AdapterProblem::Factor { what: "scale", found: scale.into() }));
        }
        Ok(Adapter { scale, ..self })
    }

    /// What errors call it: mostly its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file.
    pub fn file(&self) -> &Gguf {
        &self.file
    }

    /// How strongly it counts; 1 as it was trained.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// How many weights it changes.
    pub fn weights(&self) -> usize {
        self.pairs.len()
    }

    /// The least and the greatest rank of its pairs.
    pub fn ranks(&self) -> (u64, u64) {
        let ranks = self.pairs.values().map(|pair| self.file.tensors()[pair.up].row_elements());
        ranks.fold((u64::MAX, 0), |(least, most), rank| (least.min(rank), most.max(rank)))
    }

    /// Refuses an adapter for another architecture than the model's.
    ///
    /// # Errors
    /// It is one.
    pub fn check_architecture(&self, wanted: &str) -> Result<(), AdapterError> {
        let found = self.file.metadata().architecture().unwrap_or("");
        if found == wanted {
            return Ok(());
        }
        let (found, wanted) = (found.escape_debug().to_string(), wanted.to_owned());
        Err(self.error(AdapterProblem::Architecture { found, wanted }))
    }

    /// The pair beside a weight.
    pub(crate) fn low_rank(&self, weight: &str) -> Option<LowRank<'_>> {
        let pair = self.pairs.get(weight)?;
        let (down, up) = (&self.file.tensors()[pair.down], &self.file.tensors()[pair.up]);
        let rank = up.row_elements() as f32;
        let factor = if self.alpha == 0.0 { self.scale } else { self.scale * self.alpha / rank };
        Some(LowRank { down, up, factor })
    }

    /// Every tensor with the weight it belongs to, in the order of the weights' names.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        let tensors = self.file.tensors();
        self.pairs.iter().flat_map(|(weight, pair)| [pair.down, pair.up].map(|at| (weight.as_str(), &tensors[at])))
    }

    pub(crate) fn error(&self, problem: AdapterProblem) -> AdapterError {
        AdapterError { name: self.name.to_string(), problem: Box::new(problem) }
    }
}

/// What a graph calls a tensor of the adapter that has this number among a model's.
pub(crate) fn graph_name(number: usize, tensor: &TensorInfo) -> String {
    format!("{GRAPH_PREFIX}{number}:{}", tensor.name)
}

/// The bytes of a weight that a graph names; `None` where it is none of an adapter's.
pub fn adapter_data(adapters: &[Adapter], weight: &str) -> Option<TensorData> {
    let (number, tensor) = weight.strip_prefix(GRAPH_PREFIX)?.split_once(':')?;
    let file = &adapters.get(number.parse::<usize>().ok()?)?.file;
    Some(file.data(file.tensor(tensor)?))
}

/// Whether a file says that it is an adapter.
pub fn is_adapter(file: &Gguf) -> bool {
    file.metadata().string(TYPE_KEY.0).ok().flatten() == Some(TYPE_KEY.1)
}

/// What keeps a file from being an adapter; nothing where it is one, or only its header was read.
pub fn problem(file: &Gguf) -> Option<AdapterProblem> {
    read(file).err().filter(|problem| !matches!(problem, AdapterProblem::NoData))
}

/// The pairs of a file, and its alpha.
fn read(file: &Gguf) -> Result<(BTreeMap<String, Pair>, f32), AdapterProblem> {
    let metadata = file.metadata();
    for (key, wanted) in [TYPE_KEY, KIND_KEY] {
        let found = metadata.string(key).ok().flatten();
        if found != Some(wanted) {
            let found = found.map_or("missing".to_owned(), |found| format!("`{}`", found.escape_debug()));
            return Err(AdapterProblem::Kind { key, found, wanted });
        }
    }
    if metadata.contains(ACTIVATION_KEY) {
        return Err(AdapterProblem::Activated { key: ACTIVATION_KEY });
    }
    if !file.has_data() {
        return Err(AdapterProblem::NoData);
    }
    let alpha = match metadata.float(ALPHA_KEY) {
        Ok(alpha) => alpha.unwrap_or(0.0),
        Err(error) => {
            return Err(AdapterProblem::Kind { key: ALPHA_KEY, found: error.to_string(), wanted: "a number" });
        }
    };
    if !(alpha as f32).is_finite() {
        return Err(AdapterProblem::Factor { what: "alpha", found: alpha });
    }
    let mut halves: BTreeMap<&str, [Option<usize>; 2]> = BTreeMap::new();
    for (place, tensor) in file.tensors().iter().enumerate() {
        let name = tensor.name.as_str();
        let half = name.strip_suffix(DOWN).map(|weight| (weight, 0));
        let half = half.or_else(|| name.strip_suffix(UP).map(|weight| (weight, 1)));
        let (weight, half) = half.ok_or_else(|| AdapterProblem::NotPaired { tensor: name.to_owned() })?;
        halves.entry(weight).or_default()[half] = Some(place);
    }
    let paired = halves.into_iter().map(|(weight, halves)| match halves {
        [Some(down), Some(up)] => Ok((weight.to_owned(), Pair { down, up })),
        [None, _] => Err(lonely(weight, UP, DOWN)),
        [_, None] => Err(lonely(weight, DOWN, UP)),
    });
    let pairs = paired.collect::<Result<BTreeMap<_, _>, _>>()?;
    if pairs.is_empty() { Err(AdapterProblem::Empty) } else { Ok((pairs, alpha as f32)) }
}

fn lonely(weight: &str, found: &str, missing: &str) -> AdapterProblem {
    AdapterProblem::Partner { tensor: format!("{weight}{found}"), partner: format!("{weight}{missing}") }
}
