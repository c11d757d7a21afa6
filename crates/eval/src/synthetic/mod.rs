//! Model files with random weights: the speed of a shape and a mix of tensor types without the model itself.
//!
//! The files are whole: llama.cpp and every other reader of GGUF loads them too. Their text is noise. Invariant: every
//! weight is finite and no scale is subnormal, so the arithmetic takes the time it takes on a real model.

mod mix;
mod shape;
mod vocabulary;
mod weights;

use std::io::{self, Write};
use std::path::Path;

use ascua::gguf::{GgufWriter, Metadata, TensorSource, TensorType, WriteError};

pub use mix::{Mix, Role};
pub use shape::Shape;
pub use weights::RandomBlocks;

/// Why a synthetic model cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SyntheticError {
    /// No shape has this name.
    #[error("unknown shape `{name}`; there are {}", Shape::names())]
    UnknownShape {
        /// What was asked for.
        name: String,
    },
    /// No mix has this name.
    #[error("unknown type `{name}`; there are {}", Mix::names())]
    UnknownMix {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes a model of `shape` with the tensor types of `mix` at `path`, which appears whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write(shape: &Shape, mix: &Mix, path: &Path) -> Result<u64, SyntheticError> {
    let mut writer = GgufWriter::new(metadata(shape, mix));
    for (seed, tensor) in (1..).zip(shape.tensors()) {
        let columns = tensor.shape[0] as usize;
        let elements: u64 = tensor.shape.iter().product();
        let tensor_type = mix.tensor_type(shape, &tensor);
        let source = match tensor.role {
            Role::Norm => TensorSource::stream(move |out| ones(elements, out)),
            _ => TensorSource::stream(move |out| random(tensor_type, columns, elements, seed, out)),
        };
        writer.add(tensor.name, tensor.shape, tensor_type, source)?;
    }
    Ok(writer.write_file(path)?)
}

fn metadata(shape: &Shape, mix: &Mix) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", "llama");
    metadata.insert("general.name", format!("random {} {}", shape.name, mix.name));
    metadata.insert("general.file_type", mix.file_type);
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

fn random(tensor_type: TensorType, columns: usize, elements: u64, seed: u64, out: &mut dyn Write) -> io::Result<()> {
    /// Blocks made at a time.
    const PIECE: u64 = 4096;
    let mut blocks = RandomBlocks::new(tensor_type, columns, seed);
    let mut left = elements / tensor_type.block_len() as u64;
    let mut piece = Vec::new();
    while left > 0 {
        let count = left.min(PIECE);
        piece.resize(count as usize * tensor_type.block_bytes(), 0);
        blocks.fill(&mut piece);
        out.write_all(&piece)?;
        left -= count;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
