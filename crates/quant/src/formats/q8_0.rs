//! Q8_0: 32 signed 8-bit integers and one scale.
//!
//! `x = d * q`. A weight format, and the partner of the formats with blocks of 32 to 128 and no minimum.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q8_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q8_0;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ80 {
    /// Scale.
    pub d: LeF16,
    /// Integers.
    pub qs: [i8; 32],
}

impl BlockFormat for Q8_0 {
    const TYPE: TensorType = TensorType::Q8_0;
    type Block = BlockQ80;
    type Values = [f32; 32];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockQ80, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.qs, &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockQ80, [facing]: &[BlockQ80; 1]) -> f32 {
        groups::dot(&block.qs, &facing.qs) as f32 * (block.d.to_f32() * facing.d.to_f32())
    }
}

fn encode(values: &[f32; 32]) -> BlockQ80 {
    let d = extremes::largest_magnitude(values) / 127.0;
    let inverse = extremes::inverse(d);
    BlockQ80 { d: LeF16::from_f32(d), qs: values.map(|value| rounding::round_half_away(value * inverse) as i8) }
}
