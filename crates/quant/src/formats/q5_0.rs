//! Q5_0: 32 signed 5-bit integers and one scale.
//!
//! `x = d * (q - 16)`. The low nibbles are the first half of the block, the high nibbles the second; bit `i` of `qh` is
//! the fifth bit of element `i`.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::extremes;
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::formats::rows_of_32;
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q5_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q5_0;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ50 {
    /// Scale.
    pub d: LeF16,
    /// Fifth bits: a little-endian word.
    pub qh: [u8; 4],
    /// Low four bits.
    pub qs: [u8; 16],
}

impl BlockQ50 {
    /// The integers, in order of element: -16 to 15.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut nibbles = [0; 32];
        groups::split_nibbles(&self.qs, &mut nibbles);
        let fifth = fifth_bits(self.qh);
        std::array::from_fn(|element| (nibbles[element] | fifth[element]) as i8 - 16)
    }
}

/// The fifth bit of each element, in place: 0 or 16.
#[inline(always)]
pub(crate) fn fifth_bits(qh: [u8; 4]) -> [u8; 32] {
    let bits = u32::from_le_bytes(qh);
    std::array::from_fn(|element| ((bits >> element) as u8 & 1) << 4)
}

impl BlockFormat for Q5_0 {
    const TYPE: TensorType = TensorType::Q5_0;
    type Block = BlockQ50;
    type Values = [f32; 32];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ50, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockQ50, [facing]: &[BlockQ80; 1]) -> f32 {
        block.d.to_f32() * facing.d.to_f32() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 32]>, out: &mut [BlockQ50]) {
    let done = rows_of_32::encode_signed(row, out, 16.0, |d, codes| {
        let (qh, qs) = pack_five_bits(&codes);
        BlockQ50 { d: LeF16::from_f32(d), qh, qs }
    });
    if !done {
        row.each_block(out, encode_without_importance);
    }
}

/// The value farthest from zero becomes -16, the end of the wider side.
#[inline(always)]
fn encode_without_importance(values: &[f32; 32]) -> BlockQ50 {
    let d = extremes::farthest_from_zero(values) / -16.0;
    let inverse = extremes::inverse(d);
    let codes = values.map(|value| (rounding::truncate(value * inverse + 16.5) as i8).min(31) as u8);
    let (qh, qs) = pack_five_bits(&codes);
    BlockQ50 { d: LeF16::from_f32(d), qh, qs }
}

/// Fifth bits and nibbles of 32 codes.
#[inline(always)]
pub(crate) fn pack_five_bits(codes: &[u8; 32]) -> ([u8; 4], [u8; 16]) {
    let fifth = codes.iter().enumerate().fold(0, |bits, (i, code)| bits | u32::from(code >> 4 & 1) << i);
    let nibbles = std::array::from_fn(|i| codes[i] & 0xF | (codes[i + 16] & 0xF) << 4);
    (fifth.to_le_bytes(), nibbles)
}
