//! Q2_0: 64 values of -1, 0, 1 or 2 and one scale.
//!
//! `x = d * (q - 1)`, 2.25 bits per weight. Four neighbours to a byte, lowest bits first.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q2_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q2_0;

/// A block of 64 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ20 {
    /// Scale.
    pub d: LeF16,
    /// Two bits per element, offset by 1.
    pub qs: [u8; 16],
}

impl BlockQ20 {
    /// The values, in order of element: -1 to 2.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 64] {
        std::array::from_fn(|element| (self.qs[element / 4] >> (element % 4 * 2) & 3) as i8 - 1)
    }
}

impl BlockFormat for Q2_0 {
    const TYPE: TensorType = TensorType::Q2_0;
    type Block = BlockQ20;
    type Values = [f32; 64];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 2];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockQ20, out: &mut [f32; 64]) {
        groups::decode_scaled::<64>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockQ20, facing: &[BlockQ80; 2]) -> f32 {
        let quants = block.quants();
        let parts = quants.as_chunks::<32>().0.iter().zip(facing);
        block.d.to_f32()
            * parts.map(|(quants, facing)| facing.d.to_f32() * groups::dot(quants, &facing.qs) as f32).sum::<f32>()
    }
}

/// The scale is the largest magnitude, so the code for 2 stays unused.
fn encode(values: &[f32; 64]) -> BlockQ20 {
    let d = extremes::farthest_from_zero(values).abs();
    let inverse = extremes::inverse(d);
    let code = |value: f32| (rounding::round_half_away(value * inverse) + 1).clamp(0, 3) as u8;
    let mut qs = [0; 16];
    for (byte, values) in qs.iter_mut().zip(values.as_chunks::<4>().0) {
        *byte = values.iter().enumerate().fold(0, |bits, (i, &value)| bits | code(value) << (2 * i));
    }
    BlockQ20 { d: LeF16::from_f32(d), qs }
}
