//! Q6_K: a super-block of 256 signed 6-bit integers; every 16 have a signed 8-bit scale.
//!
//! `x = d * scale * (q - 32)`, 6.5625 bits per weight. In each half of 128, the low nibbles of 64 bytes of `ql` are the
//! first 64 elements and the high nibbles the rest; a byte of `qh` holds the upper bits of four elements 32 apart.

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

/// The Q6_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q6_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ6K {
    /// Low four bits.
    pub ql: [u8; 128],
    /// Upper two bits.
    pub qh: [u8; 64],
    /// Scale of each group of 16.
    pub scales: [i8; 16],
    /// Scale of the scales.
    pub d: LeF16,
}

impl BlockQ6K {
    /// The integers, in order of element: -32 to 31.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = groups::split_pairs(&self.qh);
        let halves = quants.as_chunks_mut::<128>().0.iter_mut().zip(self.ql.as_chunks::<64>().0);
        for (quants, low) in halves {
            let mut nibbles = [0; 128];
            groups::split_nibbles(low, &mut nibbles);
            for (quant, nibble) in quants.iter_mut().zip(nibbles) {
                *quant = (*quant << 4 | nibble as i8) - 32;
            }
        }
        quants
    }
}

impl BlockFormat for Q6_K {
    const TYPE: TensorType = TensorType::Q6_K;
    type Block = BlockQ6K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ6K, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.scales.map(|scale| d * f32::from(scale));
        groups::decode_scaled::<16>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockQ6K, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<16>(&block.quants(), &block.scales, &facing.qs);
        block.d.to_f32() * facing.d.get() * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockQ6K]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

/// The scale farthest from zero becomes -128.
#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockQ6K {
    let x: [Lanes<16>; 16] = transpose(values);
    let weights = importance.map_or_else(|| weights::squares(&x), |importance| transpose(importance));
    let found = signed::find(&x, &weights, 32.0);
    let farthest = extremes::farthest_from_zero(&found.scale.0);
    if farthest.abs() < signed::NOTHING {
        return BlockQ6K::zeroed();
    }
    let inverse = -128.0 / farthest;
    let d = LeF16::from_f32(1.0 / inverse);
    let scales = found.scale.0.map(|scale| round_half_even(inverse * scale).min(127) as i8);
    let step = Lanes(scales.map(|scale| d.to_f32() * f32::from(scale)));
    let no_step = step.eq(Lanes::ZERO);
    let mut quants = [0; 256];
    for (i, &x) in x.iter().enumerate() {
        let chosen = (x / step).round().clamp(-32.0, 31.0) + Lanes::splat(32.0);
        // Where the scale has become zero the integer does not matter; it is that of the search.
        let chosen = no_step.select(found.quants(x), chosen);
        for group in 0..16 {
            quants[16 * group + i] = chosen.0[group] as u8;
        }
    }
    let (ql, qh) = pack(&quants);
    BlockQ6K { ql, qh, scales, d }
}

/// The inverse of [`BlockQ6K::quants`], of integers offset by 32.
#[inline(always)]
fn pack(quants: &[u8; 256]) -> ([u8; 128], [u8; 64]) {
    let mut low = [0; 128];
    for (low, quants) in low.as_chunks_mut::<64>().0.iter_mut().zip(quants.as_chunks::<128>().0) {
        for i in 0..64 {
            low[i] = quants[i] & 0xF | quants[i + 64] << 4;
        }
    }
    (low, groups::join_pairs(&quants.map(|quant| quant >> 4)))
}
