//! Q4_0: 32 signed 4-bit integers and one scale.
//!
//! `x = d * (q - 8)`. The low nibbles are the first half of the block, the high nibbles the second.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::extremes;
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::formats::rows_of_32;
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q4_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q4_0;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ40 {
    /// Scale.
    pub d: LeF16,
    /// Nibbles, offset by 8.
    pub qs: [u8; 16],
}

impl BlockQ40 {
    /// The integers, in order of element: -8 to 7.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut nibbles = [0; 32];
        groups::split_nibbles(&self.qs, &mut nibbles);
        nibbles.map(|nibble| nibble as i8 - 8)
    }
}

impl BlockFormat for Q4_0 {
    const TYPE: TensorType = TensorType::Q4_0;
    type Block = BlockQ40;
    type Values = [f32; 32];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ40, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockQ40, [facing]: &[BlockQ80; 1]) -> f32 {
        groups::dot(&block.quants(), &facing.qs) as f32 * block.d.to_f32() * facing.d.to_f32()
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 32]>, out: &mut [BlockQ40]) {
    let done = rows_of_32::encode_signed(row, out, 8.0, |d, codes| BlockQ40 {
        d: LeF16::from_f32(d),
        qs: groups::join_nibbles(&codes),
    });
    if !done {
        row.each_block(out, encode_without_importance);
    }
}

/// The value farthest from zero becomes -8, the end of the wider side.
#[inline(always)]
fn encode_without_importance(values: &[f32; 32]) -> BlockQ40 {
    let d = extremes::farthest_from_zero(values) / -8.0;
    let inverse = extremes::inverse(d);
    let code = |value: f32| (rounding::truncate(value * inverse + 8.5) as i8).min(15) as u8;
    let (first, second) = values.split_at(16);
    BlockQ40 { d: LeF16::from_f32(d), qs: std::array::from_fn(|i| code(first[i]) | code(second[i]) << 4) }
}
