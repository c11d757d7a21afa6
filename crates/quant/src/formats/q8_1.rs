//! Q8_1: 32 signed 8-bit integers, one scale and their scaled sum.
//!
//! `x = d * q`; `s = d * sum(q)` is there for weights with a minimum (Q4_1, Q5_1). An activation format: files have no
//! reason to hold it.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q8_1 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q8_1;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ81 {
    /// Scale.
    pub d: LeF16,
    /// The scale times the sum of the integers; decoding does not need it.
    pub s: LeF16,
    /// Integers.
    pub qs: [i8; 32],
}

impl BlockFormat for Q8_1 {
    const TYPE: TensorType = TensorType::Q8_1;
    type Block = BlockQ81;
    type Values = [f32; 32];
    type Partner = Q8_1;
    type Activations = [BlockQ81; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockQ81, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.qs, &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockQ81, [facing]: &[BlockQ81; 1]) -> f32 {
        groups::dot(&block.qs, &facing.qs) as f32 * (block.d.to_f32() * facing.d.to_f32())
    }
}

fn encode(values: &[f32; 32]) -> BlockQ81 {
    let d = extremes::largest_magnitude(values) / 127.0;
    let inverse = extremes::inverse(d);
    let qs = values.map(|value| rounding::round_half_away(value * inverse) as i8);
    let sum: i32 = qs.iter().map(|&quant| i32::from(quant)).sum();
    // The sum is scaled by the scale before its rounding to half precision.
    BlockQ81 { d: LeF16::from_f32(d), s: LeF16::from_f32(sum as f32 * d), qs }
}
