//! What can be wrong with a model file beyond its bytes.

use ascua_graph::ShapeError;

/// A model cannot be built from this file.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No architecture of that name.
    #[error("architecture `{name}` is not supported; supported are {supported}")]
    UnknownArchitecture {
        /// Name in the file.
        name: String,
        /// Names that would work.
        supported: String,
    },
    /// A metadata key the architecture needs is absent.
    #[error("metadata key `{key}` is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A metadata key has an unusable value.
    #[error("metadata key `{key}` is {found}, wanted {wanted}")]
    BadKey {
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: String,
    },
    /// A metadata key has the wrong type.
    #[error(transparent)]
    Metadata(#[from] ascua_gguf::MetadataError),
    /// A tensor the architecture needs is absent.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the architecture expects.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The tensor.
        name: String,
        /// Shape in the file, fastest dimension first.
        found: Vec<u64>,
        /// Shape wanted.
        expected: Vec<usize>,
    },
    /// The file has tensors the architecture does not know; running without them would give wrong answers.
    #[error("{count} tensors are not part of architecture `{architecture}`, the first is `{first}`")]
    SurplusTensors {
        /// Architecture.
        architecture: String,
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// The file is an adapter, not a model.
    #[error("the file is an adapter (`general.type`), not a model; it works beside the model it was made for")]
    IsAdapter,
    /// An adapter does not fit the model.
    #[error(transparent)]
    Adapter(#[from] crate::adapter::AdapterError),
    /// The recorded graph does not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}
