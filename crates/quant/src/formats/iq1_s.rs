//! IQ1_S: a super-block of 256 elements as 32 ternary lattice points; every 32 elements have a 3-bit scale and a shift.
//!
//! `x = d * (2 * scale + 1) * (value + shift)`, 1.5625 bits per weight. A point's index has 8 bits in `qs` and 3 in `qh`,
//! whose words also hold the scale (bits 12 to 14) and the sign of the shift (bit 15).

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::formats::ternary_lattice::{self, EIGHTH};
use crate::groups;
use crate::little_endian::{LeF16, LeU16};
use crate::search::lattice;
use crate::search::points;
use crate::search::ternary::{self, DOWN, Group, Sums, UP};
use crate::search::weights;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ1_S format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ1_S;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ1S {
    /// Scale of the scales.
    pub d: LeF16,
    /// Low eight bits of the index of each 8 elements.
    pub qs: [u8; 32],
    /// Upper index bits, scale and shift of each group of 32.
    pub qh: [LeU16; 8],
}

impl BlockIQ1S {
    /// The values in eighths, in order of element: -9 to 9.
    #[inline(always)]
    pub fn eighths(&self) -> [i8; 256] {
        let mut eighths = [0; 256];
        for (i, eighths) in eighths.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let word = usize::from(self.qh[i / 4].get());
            let index = usize::from(self.qs[i]) | (word >> (3 * (i % 4)) & 7) << 8;
            *eighths = ternary_lattice::shifted_point(index, if word >> 15 == 0 { 1 } else { -1 });
        }
        eighths
    }

    /// The factor of each group of 32: odd, 1 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 8] {
        self.qh.map(|word| 2 * (word.get() >> 12 & 7) as i8 + 1)
    }
}

impl BlockFormat for IQ1_S {
    const TYPE: TensorType = TensorType::IQ1_S;
    type Block = BlockIQ1S;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ1S, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        ternary_lattice::decode_eighths::<32>(&block.eighths(), &scales, out);
    }

    fn dot_block(block: &BlockIQ1S, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<32>(&block.eighths(), &block.group_scales(), &facing.qs);
        block.d.to_f32() * facing.d.get() * (product as f32 * EIGHTH)
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ1S]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ1S {
    // Below this, a group counts as all zero.
    const NOTHING: f32 = 1e-12;
    // The scale is raised by this, which llama.cpp's authors found to lose less.
    const RAISED: f32 = 1.125;
    let importance = importance.unwrap_or(&weights::EVEN);
    let usual = 2.0 * weights::sum_of_squares(values) / 256.0;
    let (mut scales, mut block) = ([0.0; 8], BlockIQ1S::zeroed());
    let mut shifts = [0; 8];
    for (g, x) in values.as_chunks::<32>().0.iter().enumerate() {
        let weights = weights::of_group(x, &importance.as_chunks::<32>().0[g], usual);
        if points::highest(&x.map(f32::abs)) < NOTHING {
            continue;
        }
        let group = Group { x, weights: &weights };
        let ranks = group.ranks();
        let Some(mut split) = best_split(&group, &ranks) else { continue };
        let levels = split.levels(&ranks, 2);
        let used = [UP, DOWN][split.variant];
        let (indices, scale) = ternary::points(&lattice::IQ1, &group, &levels, &[used; 4], split.scale);
        let mut word = 0;
        for (k, index) in indices.into_iter().enumerate() {
            block.qs[4 * g + k] = index as u8;
            word |= index >> 8 << (3 * k);
        }
        block.qh[g] = LeU16::new(word);
        scales[g] = scale;
        shifts[g] = (split.variant as u16) << 15;
    }
    if let Some((d, scales)) = points::odd_scales(&scales, 15.0, 7) {
        block.d = LeF16::from_f32(d * RAISED);
        for ((word, scale), shift) in block.qh.iter_mut().zip(scales).zip(shifts) {
            *word = LeU16::new(word.get() | u16::from(scale) << 12 | shift);
        }
    }
    block
}

/// Every split of 32 elements under one shift.
#[inline(always)]
fn best_split(group: &Group<'_, 32>, ranks: &[usize; 32]) -> Option<ternary::Split> {
    let (mut x, mut w) = ([0.0; 33], [0.0; 33]);
    for (i, &rank) in ranks.iter().enumerate() {
        w[rank + 1] = group.weights[i];
        x[rank + 1] = group.weights[i] * group.x[i];
    }
    for j in 0..32 {
        x[j + 1] += x[j];
        w[j + 1] += w[j];
    }
    let sums = |first: usize, values: &[f32; 3]| -> Sums<33> {
        let [low, middle, high] = *values;
        let product = |j: usize| (x[first] - x[0]) * low + (x[j] - x[first]) * middle + (x[32] - x[j]) * high;
        let square = |j: usize| {
            (w[first] - w[0]) * low * low + (w[j] - w[first]) * middle * middle + (w[32] - w[j]) * high * high
        };
        (std::array::from_fn(product), std::array::from_fn(square))
    };
    ternary::best_split(|first| [sums(first, &UP), sums(first, &DOWN)])
}
