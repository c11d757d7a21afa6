//! What can be wrong with a row: its length, or the lack of an encoder.

use ascua_gguf::TensorType;

/// A row that cannot be decoded, encoded or multiplied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantError {
    /// The number of elements is not a multiple of the block length.
    #[error("a row of {elements} elements is not whole {tensor_type} blocks of {} elements", .tensor_type.block_len())]
    PartialBlock {
        /// Format of the row.
        tensor_type: TensorType,
        /// Elements asked for.
        elements: usize,
    },
    /// The bytes are not those of so many elements.
    #[error("a {tensor_type} row of {elements} elements has {expected} bytes, but {found} were given")]
    RowBytes {
        /// Format of the row.
        tensor_type: TensorType,
        /// Elements of the row.
        elements: usize,
        /// Bytes such a row has.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The bytes are not a multiple of the block size.
    #[error("{found} bytes are not whole {tensor_type} blocks of {} bytes", .tensor_type.block_bytes())]
    PartialBlockBytes {
        /// Format of the row.
        tensor_type: TensorType,
        /// Bytes given.
        found: usize,
    },
    /// The importances are not those of the row.
    #[error("a row of {elements} elements was given {found} importances")]
    Importance {
        /// Elements of the row.
        elements: usize,
        /// Importances given.
        found: usize,
    },
    /// The format can be read but not written.
    #[error("{tensor_type} has no encoder")]
    NoEncoder {
        /// The format.
        tensor_type: TensorType,
    },
}
