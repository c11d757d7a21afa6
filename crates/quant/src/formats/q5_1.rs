//! Q5_1: 32 unsigned 5-bit integers, one scale and one minimum.
//!
//! `x = d * q + m`. Packed as Q5_0; the activations carry their sum, as for Q4_1.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::extremes;
use crate::formats::q5_0::{fifth_bits, pack_five_bits};
use crate::formats::q8_1::{BlockQ81, Q8_1};
use crate::formats::rows_of_32;
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q5_1 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q5_1;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ51 {
    /// Scale.
    pub d: LeF16,
    /// Minimum, added.
    pub m: LeF16,
    /// Fifth bits: a little-endian word.
    pub qh: [u8; 4],
    /// Low four bits.
    pub qs: [u8; 16],
}

impl BlockQ51 {
    /// The integers, in order of element: 0 to 31.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut nibbles = [0; 32];
        groups::split_nibbles(&self.qs, &mut nibbles);
        let fifth = fifth_bits(self.qh);
        std::array::from_fn(|element| (nibbles[element] | fifth[element]) as i8)
    }
}

impl BlockFormat for Q5_1 {
    const TYPE: TensorType = TensorType::Q5_1;
    type Block = BlockQ51;
    type Values = [f32; 32];
    type Partner = Q8_1;
    type Activations = [BlockQ81; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ51, out: &mut [f32; 32]) {
        groups::decode_affine::<32>(&block.quants(), &[block.d.to_f32()], &[-block.m.to_f32()], out);
    }

    fn dot_block(block: &BlockQ51, [facing]: &[BlockQ81; 1]) -> f32 {
        let product = groups::dot(&block.quants(), &facing.qs) as f32;
        block.d.to_f32() * facing.d.to_f32() * product + block.m.to_f32() * facing.s.to_f32()
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 32]>, out: &mut [BlockQ51]) {
    let done = rows_of_32::encode_affine(row, out, 31.0, |d, m, codes| {
        let (qh, qs) = pack_five_bits(&codes);
        BlockQ51 { d: LeF16::from_f32(d), m: LeF16::from_f32(m), qh, qs }
    });
    if !done {
        row.each_block(out, encode_without_importance);
    }
}

#[inline(always)]
fn encode_without_importance(values: &[f32; 32]) -> BlockQ51 {
    let (low, high) = extremes::range(values);
    let d = (high - low) / 31.0;
    let inverse = extremes::inverse(d);
    let codes = values.map(|value| rounding::truncate((value - low) * inverse + 0.5) as u8);
    let (qh, qs) = pack_five_bits(&codes);
    BlockQ51 { d: LeF16::from_f32(d), m: LeF16::from_f32(low), qh, qs }
}
