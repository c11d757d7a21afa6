//! A model as the quantiser reads it: its keys, its tensors, and their rows as floats.
//!
//! Two kinds of models are read so: a GGUF file, whose rows lie there as they are wanted, and a checkpoint
//! ([`crate::convert`]), whose rows are put together as they are asked for. Nothing is held but what is being read.

use std::path::PathBuf;

use ascua_gguf::{Gguf, Metadata, TensorData, TensorInfo};
use ascua_quant::format;

use crate::quantize::QuantizeError;

/// A model to be written in other types.
pub trait Weights: Sync {
    /// The keys.
    fn metadata(&self) -> &Metadata;

    /// The tensors: name, shape and the type they have, or are best kept in.
    fn tensors(&self) -> &[TensorInfo];

    /// Whether there is more than a description.
    fn has_data(&self) -> bool;

    /// The files it lies in, which must not be written over.
    fn paths(&self) -> Vec<PathBuf>;

    /// The rows of one of the tensors.
    fn rows<'s>(&'s self, tensor: &'s TensorInfo) -> Result<Box<dyn TensorRows + 's>, QuantizeError>;
}

/// The rows of a tensor; all threads read them.
pub trait TensorRows: Sync {
    /// The values of the rows from `first` on, as many as fit in `out`.
    fn decode(&self, first: usize, out: &mut [f32]) -> Result<(), QuantizeError>;

    /// The bytes of all rows in the tensor's type, where they lie so already.
    fn stored(&self) -> Option<&[u8]>;

    /// The memory of what was read can be used for others.
    fn release(&self);
}

impl Weights for Gguf {
    fn metadata(&self) -> &Metadata {
        self.metadata()
    }

    fn tensors(&self) -> &[TensorInfo] {
        self.tensors()
    }

    fn has_data(&self) -> bool {
        self.has_data()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.paths().map(ToOwned::to_owned).collect()
    }

    fn rows<'s>(&'s self, tensor: &'s TensorInfo) -> Result<Box<dyn TensorRows + 's>, QuantizeError> {
        Ok(Box::new(StoredRows { tensor, data: self.data(tensor) }))
    }
}

/// Rows as a GGUF file has them.
struct StoredRows<'a> {
    tensor: &'a TensorInfo,
    data: TensorData,
}

impl TensorRows for StoredRows<'_> {
    fn decode(&self, first: usize, out: &mut [f32]) -> Result<(), QuantizeError> {
        let row_bytes = self.data.len() / (self.tensor.rows() as usize).max(1);
        let count = out.len() / (self.tensor.row_elements() as usize).max(1);
        let bytes = &self.data[first * row_bytes..][..count * row_bytes];
        let codec = |source| QuantizeError::Codec { name: self.tensor.name.clone(), source };
        format(self.tensor.tensor_type).decode_row(bytes, out).map_err(codec)
    }

    fn stored(&self) -> Option<&[u8]> {
        Some(&self.data)
    }

    fn release(&self) {
        self.data.release();
    }
}
