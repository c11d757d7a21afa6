//! Q4_1: 32 unsigned 4-bit integers, one scale and one minimum.
//!
//! `x = d * q + m`. The low nibbles are the first half of the block, the high nibbles the second. The activations carry
//! their sum (Q8_1), so the minimum costs one product per block.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::extremes;
use crate::formats::q8_1::{BlockQ81, Q8_1};
use crate::formats::rows_of_32;
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q4_1 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q4_1;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ41 {
    /// Scale.
    pub d: LeF16,
    /// Minimum, added.
    pub m: LeF16,
    /// Nibbles.
    pub qs: [u8; 16],
}

impl BlockQ41 {
    /// The integers, in order of element: 0 to 15.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut nibbles = [0; 32];
        groups::split_nibbles(&self.qs, &mut nibbles);
        nibbles.map(|nibble| nibble as i8)
    }
}

impl BlockFormat for Q4_1 {
    const TYPE: TensorType = TensorType::Q4_1;
    type Block = BlockQ41;
    type Values = [f32; 32];
    type Partner = Q8_1;
    type Activations = [BlockQ81; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ41, out: &mut [f32; 32]) {
        groups::decode_affine::<32>(&block.quants(), &[block.d.to_f32()], &[-block.m.to_f32()], out);
    }

    fn dot_block(block: &BlockQ41, [facing]: &[BlockQ81; 1]) -> f32 {
        let product = groups::dot(&block.quants(), &facing.qs) as f32;
        block.d.to_f32() * facing.d.to_f32() * product + block.m.to_f32() * facing.s.to_f32()
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 32]>, out: &mut [BlockQ41]) {
    let done = rows_of_32::encode_affine(row, out, 15.0, |d, m, codes| BlockQ41 {
        d: LeF16::from_f32(d),
        m: LeF16::from_f32(m),
        qs: groups::join_nibbles(&codes),
    });
    if !done {
        row.each_block(out, encode_without_importance);
    }
}

#[inline(always)]
fn encode_without_importance(values: &[f32; 32]) -> BlockQ41 {
    let (low, high) = extremes::range(values);
    let d = (high - low) / 15.0;
    let inverse = extremes::inverse(d);
    let code = |value: f32| (rounding::truncate((value - low) * inverse + 0.5) as i8).min(15) as u8;
    let (first, second) = values.split_at(16);
    BlockQ41 {
        d: LeF16::from_f32(d),
        m: LeF16::from_f32(low),
        qs: std::array::from_fn(|i| code(first[i]) | code(second[i]) << 4),
    }
}
