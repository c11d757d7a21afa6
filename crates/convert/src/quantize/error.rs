//! What can stand in the way of quantising.

use ascua_gguf::{MetadataError, TargetError, TensorType, WriteError};
use ascua_quant::QuantError;

use super::FileType;

/// A model that cannot be quantised as asked.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// A key the choices need is missing or wrong.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The input holds no tensor data.
    #[error("the model has no tensor data: it was opened for its header alone")]
    NoData,
    /// A pattern of tensor names is no regular expression.
    #[error("`{pattern}` is not a regular expression: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// The type has no encoder, or its values cannot be read.
    #[error("tensor `{name}`: {source}")]
    Codec {
        /// The tensor.
        name: String,
        /// What is wrong.
        source: QuantError,
    },
    /// The tensor is quantised already.
    #[error(
        "tensor `{name}` is {found} already: to quantise it again, to {wanted}, loses more than once from the original"
    )]
    Requantise {
        /// The tensor.
        name: String,
        /// Its type.
        found: TensorType,
        /// The type it would have.
        wanted: TensorType,
    },
    /// The type is worth nothing without importance.
    #[error("tensor `{name}` would be {tensor_type}, which is garbage without an importance matrix{}", .given)]
    NeedsImportance {
        /// The tensor.
        name: String,
        /// The type it would have.
        tensor_type: TensorType,
        /// Whether there is a matrix, without this tensor.
        given: &'static str,
    },
    /// The importance matrix is of another model.
    #[error(
        "the importance matrix has {found} numbers for tensor `{name}`, which needs {wanted}: it is of another model"
    )]
    ImportanceSize {
        /// The tensor.
        name: String,
        /// Numbers there are.
        found: usize,
        /// Numbers needed: columns times matrices.
        wanted: u64,
    },
    /// A weight is no finite number.
    #[error("tensor `{name}` holds {value} (element {element}): the model is damaged")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The element, counted from 0.
        element: u64,
        /// The value.
        value: f32,
    },
    /// A layer to leave out is not there.
    #[error("layer {layer} cannot be left out: the model has {layers} layers")]
    Layer {
        /// The layer.
        layer: u32,
        /// Layers there are.
        layers: u32,
    },
    /// Nothing may be written where the output should be.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The output could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// No tensor is left.
    #[error("there is no tensor to write as {file_type}")]
    Nothing {
        /// What was asked for.
        file_type: FileType,
    },
}
