//! F32: 32-bit floats as they are.
//!
//! Multiplied with 32-bit floats: the activations lose nothing.

use crate::block_format::{BlockFormat, Encode};
use crate::little_endian::LeF32;
use ascua_gguf::TensorType;

/// The F32 format.
#[derive(Clone, Copy, Debug)]
pub struct F32;

impl BlockFormat for F32 {
    const TYPE: TensorType = TensorType::F32;
    type Block = [LeF32; 1];
    type Values = [f32; 1];
    type Partner = F32;
    type Activations = [[LeF32; 1]; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, |values| [LeF32::new(values[0])]));

    #[inline(always)]
    fn decode_block(&[element]: &Self::Block, out: &mut Self::Values) {
        *out = [element.get()];
    }

    #[inline(always)]
    fn dot_block(&[element]: &Self::Block, &[[activation]]: &Self::Activations) -> f32 {
        element.get() * activation.get()
    }
}
