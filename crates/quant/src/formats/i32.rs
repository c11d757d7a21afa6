//! I32: 32-bit integers; decoding rounds those beyond 2^24.
//!
//! Multiplied with 32-bit floats: the activations lose nothing.

use crate::block_format::BlockFormat;
use crate::formats::f32::F32;
use crate::little_endian::{LeF32, LeI32};
use ascua_gguf::TensorType;

/// The I32 format.
#[derive(Clone, Copy, Debug)]
pub struct I32;

impl BlockFormat for I32 {
    const TYPE: TensorType = TensorType::I32;
    type Block = [LeI32; 1];
    type Values = [f32; 1];
    type Partner = F32;
    type Activations = [[LeF32; 1]; 1];

    #[inline(always)]
    fn decode_block(&[element]: &Self::Block, out: &mut Self::Values) {
        *out = [element.get() as f32];
    }

    #[inline(always)]
    fn dot_block(&[element]: &Self::Block, &[[activation]]: &Self::Activations) -> f32 {
        element.get() as f32 * activation.get()
    }
}
