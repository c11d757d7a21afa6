//! What can stand in the way of converting an adapter, besides what stands in the way of any checkpoint.

use std::path::PathBuf;

/// An adapter of PEFT that cannot become a file.
#[derive(Debug, thiserror::Error)]
pub enum PeftError {
    /// It has no settings.
    #[error("{}: has no `adapter_config.json`", path.display())]
    NoSettings {
        /// The directory.
        path: PathBuf,
    },
    /// It has no weights.
    #[error("{}: has neither `adapter_model.safetensors` nor `adapter_model.bin`", path.display())]
    NoWeights {
        /// The directory.
        path: PathBuf,
    },
    /// It has no pairs.
    #[error("{}: has no low-rank pairs", path.display())]
    NoPairs {
        /// The file.
        path: PathBuf,
    },
    /// Nothing says what model it was made for.
    #[error("`adapter_config.json` names the base model {}, which is no directory here", shown(name.as_deref()))]
    NoBase {
        /// The name.
        name: Option<String>,
    },
    /// A setting asks for more than two matrices beside a weight.
    #[error("`adapter_config.json`: `{name}` is {found}, wanted {wanted}")]
    Setting {
        /// The setting.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// A pattern of names is none.
    #[error("`adapter_config.json`: `{pattern}` in `alpha_pattern` is no regular expression: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is no half of a pair.
    #[error("{}: tensor `{name}` {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: TensorOfAdapter,
    },
}

impl PeftError {
    /// Whether there is more to the adapter than pairs, which a file of an adapter cannot hold, but a model it is merged
    /// into can.
    pub fn is_mergeable(&self) -> bool {
        match self {
            PeftError::Setting { name, .. } => !matches!(name.as_str(), "lora_alpha" | "r"),
            PeftError::Tensor { problem, .. } => {
                use TensorOfAdapter::{Bias, Magnitude, Normalised, Whole};
                matches!(problem, Whole | Bias | Magnitude | Normalised)
            }
            _ => false,
        }
    }
}

/// What is wrong with a tensor of an adapter; follows its name in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TensorOfAdapter {
    #[error("is a whole weight (`modules_to_save`, or new tokens); only low-rank pairs can be converted")]
    Whole,
    #[error("is a bias, which is trained beside the pairs; only low-rank pairs can be converted")]
    Bias,
    #[error("is the magnitude of DoRA; only low-rank pairs can be converted")]
    Magnitude,
    #[error("has no partner `{partner}`")]
    Partner { partner: String },
    #[error("has shape {found:?}, wanted two dimensions")]
    Dimensions { found: Vec<u64> },
    #[error("has shape {found:?}, but the rank of its partner is {rank}")]
    Rank { found: Vec<u64>, rank: u64 },
    #[error("is for looking tokens up, but its weight is multiplied with")]
    NotATable,
    #[error("is for a product, but its weight is a table in which tokens are looked up")]
    Table,
    #[error("changes a weight that is normalised when it is used, which pairs beside it cannot follow")]
    Normalised,
}

fn shown(name: Option<&str>) -> String {
    name.map_or("not at all".into(), |name| format!("`{}`", name.escape_debug()))
}
