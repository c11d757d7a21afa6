//! LoRA adapters: for some weights two thin matrices whose product, times a factor, is added to the weight.
//!
//! The weight itself is never touched, so that it may be quantised: a block adds the low-rank product beside the product with
//! its weight. Comes from a GGUF file of `general.type` "adapter" with pairs `NAME.lora_a [columns, rank]` and
//! `NAME.lora_b [rank, rows]`. Factor: the user's, times alpha / rank where the file has an alpha (as llama.cpp does).
//! Invariant: every tensor of an adapter has its partner; what no block asks for ends as an error with its name.

use ascua_gguf::{Gguf, TensorData, TensorInfo};

/// A file that is no usable adapter.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// A key has another value than an adapter's.
    #[error("not a LoRA adapter: `{key}` is {found}, wanted \"{wanted}\"")]
    Kind {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// The value it must have.
        wanted: &'static str,
    },
    /// It works from certain tokens on only.
    #[error("the adapter is to be switched on by certain tokens (`{key}`), which is not supported")]
    Activated {
        /// The key that says so.
        key: &'static str,
    },
    /// It was trained for another kind of model.
    #[error("the adapter is for the architecture `{found}`, the model has `{wanted}`")]
    Architecture {
        /// Of the adapter.
        found: String,
        /// Of the model.
        wanted: String,
    },
    /// A tensor is no half of a pair.
    #[error("adapter tensor `{name}` is neither a `.lora_a` nor a `.lora_b` of two dimensions")]
    Tensor {
        /// The tensor.
        name: String,
    },
    /// The other half of a pair is missing.
    #[error("adapter tensor `{name}` has no partner `{partner}`")]
    Partner {
        /// The tensor there is.
        name: String,
        /// The one there should be.
        partner: String,
    },
    /// The factor is no number.
    #[error("the factor of the adapter is {found}")]
    Scale {
        /// What it is.
        found: f32,
    },
    /// There is nothing in it.
    #[error("the adapter has no tensors")]
    Empty,
}

/// An adapter and how strongly it counts.
pub struct Adapter {
    file: Gguf,
    alpha: f32,
    scale: f32,
}

/// A tensor of an adapter under the name that the graph has for it.
pub struct AdapterTensor<'a> {
    /// `lora.N:NAME`.
    pub name: String,
    /// Shape and type.
    pub info: &'a TensorInfo,
}

/// The two matrices that an adapter has for a weight.
pub struct LowRankTensors<'a> {
    /// `[columns, rank]`
    pub down: AdapterTensor<'a>,
    /// `[rank, rows]`
    pub up: AdapterTensor<'a>,
    /// Factor on the product.
    pub factor: f32,
}

const DOWN: &str = ".lora_a";
const UP: &str = ".lora_b";

impl Adapter {
    /// The adapter in `file`, `scale` times as strong as it was trained.
    ///
    /// # Errors
    /// The file is no LoRA adapter.
    pub fn new(file: Gguf, scale: f32) -> Result<Adapter, AdapterError> {
        const ALPHA: &str = "adapter.lora.alpha";
        const TOKENS: &str = "adapter.alora.invocation_tokens";
        let metadata = file.metadata();
        for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora")] {
            let found = metadata.string(key).ok().flatten();
            if found != Some(wanted) {
                let found = found.map_or("missing".to_owned(), |found| format!("{found:?}"));
                return Err(AdapterError::Kind { key, found, wanted });
            }
        }
        if metadata.contains(TOKENS) {
            return Err(AdapterError::Activated { key: TOKENS });
        }
        let alpha = metadata.float(ALPHA).ok().flatten().unwrap_or(0.0) as f32;
        for found in [alpha, scale] {
            if !found.is_finite() {
                return Err(AdapterError::Scale { found });
            }
        }
        if file.tensors().is_empty() {
            return Err(AdapterError::Empty);
        }
        for tensor in file.tensors() {
            let name = &tensor.name;
            let partner = match (name.strip_suffix(DOWN), name.strip_suffix(UP)) {
                (Some(base), _) => format!("{base}{UP}"),
                (_, Some(base)) => format!("{base}{DOWN}"),
                _ => return Err(AdapterError::Tensor { name: name.clone() }),
            };
            if tensor.shape.len() > 2 {
                return Err(AdapterError::Tensor { name: name.clone() });
            }
            if file.tensor(&partner).is_none() {
                return Err(AdapterError::Partner { name: name.clone(), partner });
            }
        }
        Ok(Adapter { file, alpha, scale })
    }

    /// Refuses an adapter for another kind of model.
    ///
    /// # Errors
    /// It is one.
    pub fn check_architecture(&self, wanted: &str) -> Result<(), AdapterError> {
        let found = self.file.metadata().architecture().unwrap_or("").to_owned();
        if found == wanted { Ok(()) } else { Err(AdapterError::Architecture { found, wanted: wanted.to_owned() }) }
    }

    /// The matrices for a weight, of the adapter that stands at `index` in the model's list.
    pub fn low_rank(&self, index: usize, weight: &str) -> Option<LowRankTensors<'_>> {
        let tensor = |suffix: &str| {
            let info = self.file.tensor(&format!("{weight}{suffix}"))?;
            Some(AdapterTensor { name: graph_name(index, &info.name), info })
        };
        let (down, up) = (tensor(DOWN)?, tensor(UP)?);
        let rank = up.info.shape.first().map_or(1.0, |rank| *rank as f32);
        let factor = if self.alpha == 0.0 { self.scale } else { self.scale * self.alpha / rank };
        Some(LowRankTensors { down, up, factor })
    }

    /// The names that the graph has for all its tensors.
    pub fn names(&self, index: usize) -> impl Iterator<Item = String> + '_ {
        self.file.tensors().iter().map(move |tensor| graph_name(index, &tensor.name))
    }
}

/// The bytes of a tensor of one of `adapters`, by its name in the graph.
pub fn adapter_data(adapters: &[Adapter], name: &str) -> Option<TensorData> {
    let (index, name) = name.strip_prefix("lora.")?.split_once(':')?;
    let file = &adapters.get(index.parse::<usize>().ok()?)?.file;
    Some(file.data(file.tensor(name)?))
}

fn graph_name(index: usize, name: &str) -> String {
    format!("lora.{index}:{name}")
}
