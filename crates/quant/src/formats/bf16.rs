//! BF16: 32-bit floats cut to their upper 16 bits.
//!
//! Multiplied with 32-bit floats: the activations lose nothing.

use crate::block_format::{BlockFormat, Encode};
use crate::formats::f32::F32;
use crate::little_endian::{LeBf16, LeF32};
use ascua_gguf::TensorType;

/// The BF16 format.
#[derive(Clone, Copy, Debug)]
pub struct BF16;

impl BlockFormat for BF16 {
    const TYPE: TensorType = TensorType::BF16;
    type Block = [LeBf16; 1];
    type Values = [f32; 1];
    type Partner = F32;
    type Activations = [[LeF32; 1]; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, |values| [LeBf16::from_f32(values[0])]));

    #[inline(always)]
    fn decode_block(&[element]: &Self::Block, out: &mut Self::Values) {
        *out = [element.to_f32()];
    }

    #[inline(always)]
    fn dot_block(&[element]: &Self::Block, &[[activation]]: &Self::Activations) -> f32 {
        element.to_f32() * activation.get()
    }
}
