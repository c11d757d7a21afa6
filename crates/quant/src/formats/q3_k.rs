//! Q3_K: a super-block of 256 signed 3-bit integers; every 16 have a signed 6-bit scale.
//!
//! `x = d * (scale - 32) * (q - 4)`, 3.4375 bits per weight. A byte of `qs` holds the low bits of four elements 32 apart;
//! a byte of `hmask` the third bits of eight elements 32 apart.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::extremes;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::lanes::{Lanes, transpose};
use crate::little_endian::LeF16;
use crate::rounding::round_half_even;
use crate::search::{signed, weights};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q3_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q3_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ3K {
    /// Third bits.
    pub hmask: [u8; 32],
    /// Low two bits.
    pub qs: [u8; 64],
    /// Sixteen scales of six bits: low nibbles in bytes 0 to 7, then the upper pairs of bits.
    pub scales: [u8; 12],
    /// Scale of the scales.
    pub d: LeF16,
}

impl BlockQ3K {
    /// The integers, in order of element: -4 to 3.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = groups::split_pairs(&self.qs);
        for (bit, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (quant, mask) in quants.iter_mut().zip(self.hmask) {
                *quant += ((mask >> bit & 1) << 2) as i8 - 4;
            }
        }
        quants
    }

    /// The scale of each group of 16: -32 to 31.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 16] {
        std::array::from_fn(|group| {
            let low = self.scales[group % 8] >> (group / 8 * 4) & 0xF;
            let high = self.scales[8 + group % 4] >> (group / 4 * 2) & 3;
            (low | high << 4) as i8 - 32
        })
    }
}

impl BlockFormat for Q3_K {
    const TYPE: TensorType = TensorType::Q3_K;
    type Block = BlockQ3K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ3K, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        groups::decode_scaled::<16>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockQ3K, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<16>(&block.quants(), &block.group_scales(), &facing.qs);
        block.d.to_f32() * facing.d.get() * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockQ3K]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockQ3K {
    let x: [Lanes<16>; 16] = transpose(values);
    let (d, scales, searched) = match importance {
        None => without_importance(&x),
        Some(importance) => {
            let usual = Lanes::splat(2.0 * weights::sum_of_squares(values) / 256.0);
            with_importance(&x, &weights::with_importance(&x, &transpose(importance), usual))
        }
    };
    let d = LeF16::from_f32(d);
    let step = Lanes(scales.map(|scale| d.to_f32() * (f32::from(scale) - 32.0)));
    let no_step = step.eq(Lanes::ZERO);
    let mut quants = [0; 256];
    for i in 0..16 {
        let chosen = (x[i] / step).round().clamp(-4.0, 3.0) + Lanes::splat(4.0);
        // Where the scale has become zero the integer does not matter; it is that of the search.
        let chosen = no_step.select(searched[i], chosen);
        for group in 0..16 {
            quants[16 * group + i] = chosen.0[group] as u8;
        }
    }
    BlockQ3K { hmask: groups::join_bits(&quants, 2), qs: groups::join_pairs(&quants), scales: pack_scales(&scales), d }
}

/// Scale of the scales, the scales offset by 32, and the integers offset by 4.
type Searched = (f32, [u8; 16], [Lanes<16>; 16]);

/// The scale farthest from zero becomes -32.
#[inline(always)]
fn without_importance(x: &[Lanes<16>; 16]) -> Searched {
    let (scales, quants) = signed::descend(x, 4.0);
    let farthest = extremes::farthest_from_zero(&scales.0);
    if farthest == 0.0 {
        return (0.0, [0; 16], quants);
    }
    let inverse = -32.0 / farthest;
    let scales = scales.0.map(|scale| ((round_half_even(inverse * scale) as i8).clamp(-32, 31) + 32) as u8);
    (1.0 / inverse, scales, quants)
}

#[inline(always)]
fn with_importance(x: &[Lanes<16>; 16], weights: &[Lanes<16>; 16]) -> Searched {
    let found = signed::find(x, weights, 4.0);
    let (d, scales) = signed::find_one(&found.scale.0, &weights::sums(weights).0, 32.0);
    (d, scales.map(|scale| scale as u8), x.map(|x| found.quants(x)))
}

/// The inverse of [`BlockQ3K::group_scales`], of scales offset by 32.
#[inline(always)]
fn pack_scales(scales: &[u8; 16]) -> [u8; 12] {
    let mut packed = [0; 12];
    for (group, scale) in scales.iter().enumerate() {
        packed[group % 8] |= (scale & 0xF) << (group / 8 * 4);
        packed[8 + group % 4] |= (scale >> 4) << (group / 4 * 2);
    }
    packed
}
