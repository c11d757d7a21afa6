//! Rows: the loops over blocks, typed and behind a `dyn` face.
//!
//! A loader or an exact computation holds a `&'static dyn Format` and calls it once per row, so the virtual call costs
//! nothing. Lengths are checked here, once; below this point every slice fits.

use crate::block_format::{BlockFormat, Row};
use crate::error::QuantError;
use crate::levels;
use ascua_gguf::TensorType;

/// A format whose type is known only at run time.
pub trait Format: Send + Sync {
    /// Its GGUF type.
    fn tensor_type(&self) -> TensorType;

    /// The format activations are brought to for [`Format::dot_row_quantised`].
    fn partner(&self) -> TensorType;

    /// Whether [`Format::encode_row`] works.
    fn can_encode(&self) -> bool;

    /// Decodes a row of `out.len()` elements; `bytes` may lie at any address.
    fn decode_row(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError>;

    /// Blocks whose scale stands for no number in the format's standard, though it decodes as one.
    fn reserved_scales(&self, bytes: &[u8]) -> Result<usize, QuantError>;

    /// Encodes a row; every element counts the same.
    fn encode_row(&self, values: &[f32], out: &mut [u8]) -> Result<(), QuantError> {
        self.encode_row_with(values, None, out)
    }

    /// Encodes a row. `importance`, as long as the row, says how much the error of each element counts: the mean square
    /// of the activation it meets, finite and not negative. Formats without a choice to make ignore it.
    fn encode_row_with(&self, values: &[f32], importance: Option<&[f32]>, out: &mut [u8]) -> Result<(), QuantError>;

    /// The product of a row with activations that are not quantised, in 32-bit floats.
    fn dot_row(&self, weights: &[u8], activations: &[f32]) -> Result<f32, QuantError>;

    /// The product of a row with activations in the partner format: the oracle of the fast kernels.
    fn dot_row_quantised(&self, weights: &[u8], activations: &[u8]) -> Result<f32, QuantError>;
}

impl<F: BlockFormat> Format for F {
    fn tensor_type(&self) -> TensorType {
        F::TYPE
    }

    fn partner(&self) -> TensorType {
        F::Partner::TYPE
    }

    fn can_encode(&self) -> bool {
        F::ENCODE.is_some()
    }

    fn decode_row(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
        check_row_bytes::<F>(bytes.len(), out.len())?;
        decode_blocks::<F>(blocks::<F>(bytes)?, out)
    }

    fn reserved_scales(&self, bytes: &[u8]) -> Result<usize, QuantError> {
        Ok(blocks::<F>(bytes)?.iter().filter(|block| F::has_reserved_scale(block)).count())
    }

    fn encode_row_with(&self, values: &[f32], importance: Option<&[f32]>, out: &mut [u8]) -> Result<(), QuantError> {
        check_row_bytes::<F>(out.len(), values.len())?;
        let found = out.len();
        let blocks = bytemuck::try_cast_slice_mut(out)
            .map_err(|_| QuantError::PartialBlockBytes { tensor_type: F::TYPE, found })?;
        encode_blocks::<F>(values, importance, blocks)
    }

    fn dot_row(&self, weights: &[u8], activations: &[f32]) -> Result<f32, QuantError> {
        check_row_bytes::<F>(weights.len(), activations.len())?;
        dot_exact::<F>(blocks::<F>(weights)?, activations)
    }

    fn dot_row_quantised(&self, weights: &[u8], activations: &[u8]) -> Result<f32, QuantError> {
        let weights = blocks::<F>(weights)?;
        check_row_bytes::<F::Partner>(activations.len(), weights.len() * F::TYPE.block_len())?;
        let activations: &[F::Activations] = bytemuck::try_cast_slice(activations)
            .map_err(|_| QuantError::PartialBlockBytes { tensor_type: F::Partner::TYPE, found: activations.len() })?;
        Ok(weights.iter().zip(activations).map(|(block, facing)| F::dot_block(block, facing)).sum())
    }
}

/// Views bytes as blocks, without a copy and at any address.
pub fn blocks<F: BlockFormat>(bytes: &[u8]) -> Result<&[F::Block], QuantError> {
    bytemuck::try_cast_slice(bytes)
        .map_err(|_| QuantError::PartialBlockBytes { tensor_type: F::TYPE, found: bytes.len() })
}

/// Decodes blocks to `out`, which must have exactly their elements.
pub fn decode_blocks<F: BlockFormat>(blocks: &[F::Block], out: &mut [f32]) -> Result<(), QuantError> {
    check_row_bytes::<F>(size_of_val(blocks), out.len())?;
    let elements = out.len();
    let out: &mut [F::Values] =
        bytemuck::try_cast_slice_mut(out).map_err(|_| QuantError::PartialBlock { tensor_type: F::TYPE, elements })?;
    for (block, out) in blocks.iter().zip(out) {
        F::decode_block(block, out);
    }
    Ok(())
}

/// Encodes values to `out`, which must have exactly their blocks; `importance` is that of [`Format::encode_row_with`].
pub fn encode_blocks<F: BlockFormat>(
    values: &[f32],
    importance: Option<&[f32]>,
    out: &mut [F::Block],
) -> Result<(), QuantError> {
    check_row_bytes::<F>(size_of_val(out), values.len())?;
    if F::ENCODE.is_none() {
        return Err(QuantError::NoEncoder { tensor_type: F::TYPE });
    }
    if let Some(importance) = importance.filter(|importance| importance.len() != values.len()) {
        return Err(QuantError::Importance { elements: values.len(), found: importance.len() });
    }
    let whole = |values| {
        bytemuck::try_cast_slice(values)
            .map_err(|_| QuantError::PartialBlock { tensor_type: F::TYPE, elements: values.len() })
    };
    let (values, importance) = (whole(values)?, importance.map(whole).transpose()?);
    levels::encode::<F>(Row { values, importance }, out);
    Ok(())
}

/// Elements decoded at a time: a multiple of every block length, and small enough for the first cache level.
const CHUNK: usize = 256;

/// Independent sums, so that additions overlap and vectorise; the rounding error shrinks with their number too.
const LANES: usize = 16;

fn dot_exact<F: BlockFormat>(blocks: &[F::Block], activations: &[f32]) -> Result<f32, QuantError> {
    let mut sums = [0.0f32; LANES];
    let mut decoded = [0.0f32; CHUNK];
    for (blocks, activations) in blocks.chunks(CHUNK / F::TYPE.block_len()).zip(activations.chunks(CHUNK)) {
        let weights = &mut decoded[..activations.len()];
        decode_blocks::<F>(blocks, weights)?;
        let (whole, rest) = weights.as_chunks::<LANES>();
        let (whole_facing, rest_facing) = activations.as_chunks::<LANES>();
        for (weights, activations) in whole.iter().zip(whole_facing) {
            for ((sum, weight), activation) in sums.iter_mut().zip(weights).zip(activations) {
                *sum += weight * activation;
            }
        }
        for ((sum, weight), activation) in sums.iter_mut().zip(rest).zip(rest_facing) {
            *sum += weight * activation;
        }
    }
    Ok(sums.iter().sum())
}

fn check_row_bytes<F: BlockFormat>(found: usize, elements: usize) -> Result<(), QuantError> {
    let tensor_type = F::TYPE;
    match tensor_type.row_bytes(elements) {
        None => Err(QuantError::PartialBlock { tensor_type, elements }),
        Some(expected) if expected != found => Err(QuantError::RowBytes { tensor_type, elements, expected, found }),
        Some(_) => Ok(()),
    }
}
