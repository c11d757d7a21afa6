//! What can stand in the way of a conversion.

use std::path::PathBuf;

use ascua_gguf::Malformed;
use ascua_models::ModelError;
use ascua_models::hugging_face::ConfigError;

use super::PeftError;
use crate::checkpoint::CheckpointError;

/// A checkpoint that cannot become a model file.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It has no configuration.
    #[error("{}: has no `config.json`", path.display())]
    NoConfig {
        /// The directory.
        path: PathBuf,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The files of weights cannot be read.
    #[error(transparent)]
    Checkpoint(Box<CheckpointError>),
    /// The weights are quantised in a way that is not read.
    #[error(
        "`config.json`: the weights are quantised by `{method}`, which is not read; take the original weights, or FP8"
    )]
    Quantised {
        /// The method.
        method: String,
    },
    /// The family has no such tensor.
    #[error("{}: tensor `{name}` is not part of {class}", path.display())]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The class of the model.
        class: String,
    },
    /// Two tensors of the checkpoint would be the same one of the file.
    #[error("tensors `{first}` and `{second}` would both become `{target}`")]
    Twice {
        /// A tensor.
        first: String,
        /// The other.
        second: String,
        /// What they would become.
        target: String,
    },
    /// An expert is missing.
    #[error("`{target}`: expert {expert} of {count} is missing")]
    MissingExpert {
        /// What is made of the experts.
        target: String,
        /// The expert, from 0.
        expert: usize,
        /// How many there should be.
        count: usize,
    },
    /// Experts differ in shape.
    #[error("tensor `{name}` has shape {found:?}, but the other experts have {wanted:?}")]
    ExpertShape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<u64>,
        /// Theirs.
        wanted: Vec<u64>,
    },
    /// The rows cannot be shared as they should.
    #[error("tensor `{name}` has {rows} rows, which cannot be divided by {by}")]
    Rows {
        /// The tensor.
        name: String,
        /// Its rows.
        rows: u64,
        /// Parts, or heads and their halves.
        by: u64,
    },
    /// The adapter cannot be converted.
    #[error(transparent)]
    Peft(Box<PeftError>),
    /// The tensor cannot be one of a model file.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The architecture misses something.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl From<CheckpointError> for ConvertError {
    fn from(error: CheckpointError) -> ConvertError {
        ConvertError::Checkpoint(Box::new(error))
    }
}

impl From<PeftError> for ConvertError {
    fn from(error: PeftError) -> ConvertError {
        ConvertError::Peft(Box::new(error))
    }
}
