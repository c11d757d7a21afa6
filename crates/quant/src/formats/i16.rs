//! I16: 16-bit integers.
//!
//! Multiplied with 32-bit floats: the activations lose nothing.

use crate::block_format::BlockFormat;
use crate::formats::f32::F32;
use crate::little_endian::{LeF32, LeI16};
use ascua_gguf::TensorType;

/// The I16 format.
#[derive(Clone, Copy, Debug)]
pub struct I16;

impl BlockFormat for I16 {
    const TYPE: TensorType = TensorType::I16;
    type Block = [LeI16; 1];
    type Values = [f32; 1];
    type Partner = F32;
    type Activations = [[LeF32; 1]; 1];

    #[inline(always)]
    fn decode_block(&[element]: &Self::Block, out: &mut Self::Values) {
        *out = [f32::from(element.get())];
    }

    #[inline(always)]
    fn dot_block(&[element]: &Self::Block, &[[activation]]: &Self::Activations) -> f32 {
        f32::from(element.get()) * activation.get()
    }
}
