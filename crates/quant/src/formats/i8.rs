//! I8: 8-bit integers.
//!
//! Multiplied with 32-bit floats: the activations lose nothing.

use crate::block_format::BlockFormat;
use crate::formats::f32::F32;
use crate::little_endian::LeF32;
use ascua_gguf::TensorType;

/// The I8 format.
#[derive(Clone, Copy, Debug)]
pub struct I8;

impl BlockFormat for I8 {
    const TYPE: TensorType = TensorType::I8;
    type Block = [i8; 1];
    type Values = [f32; 1];
    type Partner = F32;
    type Activations = [[LeF32; 1]; 1];

    #[inline(always)]
    fn decode_block(&[element]: &Self::Block, out: &mut Self::Values) {
        *out = [f32::from(element)];
    }

    #[inline(always)]
    fn dot_block(&[element]: &Self::Block, &[[activation]]: &Self::Activations) -> f32 {
        f32::from(element) * activation.get()
    }
}
