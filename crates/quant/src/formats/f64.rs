//! F64: 64-bit floats; decoding rounds.
//!
//! Multiplied with 32-bit floats: the activations lose nothing.

use crate::block_format::{BlockFormat, Encode};
use crate::formats::f32::F32;
use crate::little_endian::{LeF32, LeF64};
use ascua_gguf::TensorType;

/// The F64 format.
#[derive(Clone, Copy, Debug)]
pub struct F64;

impl BlockFormat for F64 {
    const TYPE: TensorType = TensorType::F64;
    type Block = [LeF64; 1];
    type Values = [f32; 1];
    type Partner = F32;
    type Activations = [[LeF32; 1]; 1];

    const ENCODE: Option<Encode<Self>> =
        Some(|row, out| row.each_block(out, |values| [LeF64::new(f64::from(values[0]))]));

    #[inline(always)]
    fn decode_block(&[element]: &Self::Block, out: &mut Self::Values) {
        *out = [element.get() as f32];
    }

    #[inline(always)]
    fn dot_block(&[element]: &Self::Block, &[[activation]]: &Self::Activations) -> f32 {
        element.get() as f32 * activation.get()
    }
}
