//! Model files with random weights: the speed of a shape and a mix of tensor types without the model itself.
//!
//! The files are whole: llama.cpp and every other reader of GGUF loads them too. Their text is noise. Invariant: every
//! weight is finite and about as large as a real model's, so the arithmetic takes the time it takes there.

mod shape;
mod vocabulary;
mod weights;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use ascua::gguf::{GgufWriter, Metadata, TensorInfo, TensorSource, TensorType, WriteError};
use ascua_convert::quantize::{FileType, Options, QuantizeError, tensor_types};
use ascua_quant::QuantError;

pub use shape::Shape;
use weights::{Pool, RandomBlocks};

/// Why a synthetic model cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SyntheticError {
    /// No shape has this name.
    #[error("unknown shape `{name}`; there are {}", Shape::names())]
    UnknownShape {
        /// What was asked for.
        name: String,
    },
    /// No types can be chosen.
    #[error(transparent)]
    Types(#[from] QuantizeError),
    /// A type cannot be written.
    #[error(transparent)]
    Encode(#[from] QuantError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Bytes and weights of a model that need not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of the tensors.
    pub bytes: u64,
    /// Weights.
    pub elements: u64,
}

impl Size {
    /// Bits for each weight.
    pub fn bits_per_weight(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.elements as f64
    }
}

/// The size of a model of `shape`, with the types that `options` choose.
///
/// # Errors
/// No types can be chosen.
pub fn size(shape: &Shape, options: &Options<'_>) -> Result<Size, SyntheticError> {
    let tensors = shape.tensors()?;
    let types = tensor_types(&metadata(shape, options.file_type), &tensors, options)?;
    let bytes = |(tensor, tensor_type): (&TensorInfo, &TensorType)| {
        tensor.elements() / tensor_type.block_len() as u64 * tensor_type.block_bytes() as u64
    };
    Ok(Size {
        bytes: tensors.iter().zip(&types).map(bytes).sum(),
        elements: tensors.iter().map(TensorInfo::elements).sum(),
    })
}

/// Writes a model of `shape` with the tensor types of a file type at `path`, which appears whole or not at all.
///
/// # Errors
/// A type cannot be written, or the file.
pub fn write(shape: &Shape, file_type: FileType, path: &Path) -> Result<u64, SyntheticError> {
    let metadata = metadata(shape, file_type);
    let tensors = shape.tensors()?;
    let types = tensor_types(&metadata, &tensors, &Options::new(file_type))?;
    let mut pools: BTreeMap<(&str, u64), Pool> = BTreeMap::new();
    for (tensor, tensor_type) in tensors.iter().zip(&types) {
        let (name, columns) = (tensor_type.name(), tensor.row_elements());
        if let std::collections::btree_map::Entry::Vacant(place) = pools.entry((name, columns)) {
            place.insert(Pool::new(*tensor_type, columns as usize)?);
        }
    }
    let mut writer = GgufWriter::new(metadata);
    for ((seed, tensor), &tensor_type) in (1..).zip(&tensors).zip(&types) {
        let pool = &pools[&(tensor_type.name(), tensor.row_elements())];
        let elements = tensor.elements();
        let source = if tensor.name.contains("norm") {
            TensorSource::stream(move |out| ones(elements, out))
        } else {
            TensorSource::stream(move |out| random(RandomBlocks::new(pool, seed), elements, out))
        };
        writer.add(tensor.name.as_str(), tensor.shape.as_slice(), tensor_type, source)?;
    }
    Ok(writer.write_file(path)?)
}

fn metadata(shape: &Shape, file_type: FileType) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", "llama");
    metadata.insert("general.name", format!("random {} {file_type}", shape.name));
    metadata.insert("general.file_type", file_type.id());
    metadata.insert("llama.block_count", shape.layers);
    metadata.insert("llama.context_length", 131_072u32);
    metadata.insert("llama.embedding_length", shape.width);
    metadata.insert("llama.feed_forward_length", shape.feed_forward);
    metadata.insert("llama.attention.head_count", shape.heads);
    metadata.insert("llama.attention.head_count_kv", shape.key_value_heads);
    metadata.insert("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
    metadata.insert("llama.rope.dimension_count", shape.head_size());
    metadata.insert("llama.rope.freq_base", 500_000f32);
    metadata.insert("llama.vocab_size", shape.vocabulary);
    if shape.experts > 0 {
        metadata.insert("llama.expert_count", shape.experts);
        metadata.insert("llama.expert_used_count", shape.experts_used);
    }
    vocabulary::insert(&mut metadata, shape.vocabulary as usize);
    metadata
}

fn ones(elements: u64, out: &mut dyn Write) -> io::Result<()> {
    (0..elements).try_for_each(|_| out.write_all(&1f32.to_le_bytes()))
}

fn random(mut blocks: RandomBlocks<'_>, elements: u64, out: &mut dyn Write) -> io::Result<()> {
    /// Parts of the pool written at a time.
    const PARTS: usize = 4096;
    let mut left = blocks.bytes(elements);
    let mut piece = Vec::new();
    while left > 0 {
        let count = left.min((PARTS * blocks.part_bytes()) as u64);
        piece.resize(count as usize, 0);
        blocks.fill(&mut piece);
        out.write_all(&piece)?;
        left -= count;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
