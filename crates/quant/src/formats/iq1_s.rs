//! IQ1_S: a super-block of 256 elements as 32 ternary lattice points; every 32 elements have a 3-bit scale and a shift.
//!
//! `x = d * (2 * scale + 1) * (value + shift)`, 1.5625 bits per weight. A point's index has 8 bits in `qs` and 3 in `qh`,
//! whose words also hold the scale (bits 12 to 14) and the sign of the shift (bit 15).

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::formats::ternary_lattice::{self, EIGHTH};
use crate::groups;
use crate::lanes::Lanes;
use crate::little_endian::{LeF16, LeU16};
use crate::search::lattice;
use crate::search::points;
use crate::search::ternary::{self, DOWN, Group, Running, Splits, Sums, UP};
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
    const ZERO: f32 = 1e-12;
    // The scale is raised by this, which llama.cpp's authors found to lose less.
    const RAISED: f32 = 1.125;
    let importance = importance.unwrap_or(&weights::EVEN);
    let usual = 2.0 * weights::sum_of_squares(values) / 256.0;
    let groups: &[[f32; 32]; 8] = values.as_chunks().0.try_into().expect("a block has 8 groups");
    let (mut weights, mut ranks) = ([[0.0; 32]; 8], [[0; 32]; 8]);
    for (g, x) in groups.iter().enumerate() {
        weights[g] = weights::of_group(x, &importance.as_chunks::<32>().0[g], usual);
        ranks[g] = Group { x, weights: &weights[g] }.ranks();
    }
    let splits = ternary::best_splits(OneShift::new(&Running::new(groups, &weights, &ranks)));
    let (mut scales, mut block) = ([0.0; 8], BlockIQ1S::zeroed());
    let mut shifts = [0; 8];
    for (g, x) in groups.iter().enumerate() {
        if points::highest(&x.map(f32::abs)) < ZERO {
            continue;
        }
        let Some(mut split) = splits[g] else { continue };
        let group = Group { x, weights: &weights[g] };
        let levels = split.levels(&ranks[g], 2);
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

/// Every split of groups of 32 elements, under one shift. By shift:
struct OneShift<'a> {
    running: &'a Running<8, 33, 1>,
    /// What the elements above the second change add.
    above: [[Sums<8>; 33]; 2],
    /// What the elements below the first change add.
    below: [Sums<8>; 2],
    /// The products and the weights below the first change.
    first: Sums<8>,
}

impl<'a> OneShift<'a> {
    #[inline(always)]
    fn new(running: &'a Running<8, 33, 1>) -> Self {
        let ([x], [w]) = (&running.products, &running.weights);
        let mut above = [[NOTHING; 33]; 2];
        for (above, &[_, _, high]) in above.iter_mut().zip(&[UP, DOWN]) {
            for (j, above) in above.iter_mut().enumerate() {
                *above = ((x[32] - x[j]) * high, (w[32] - w[j]) * high * high);
            }
        }
        OneShift { running, above, below: [NOTHING; 2], first: NOTHING }
    }
}

impl Splits<8, 2> for OneShift<'_> {
    const N: usize = 32;

    #[inline(always)]
    fn start(&mut self, first: usize) {
        let (x, w) = (self.running.products[0][first], self.running.weights[0][first]);
        self.first = (x, w);
        self.below = [(x * UP[0], w * UP[0] * UP[0]), (x * DOWN[0], w * DOWN[0] * DOWN[0])];
    }

    #[inline(always)]
    fn sums(&self, second: usize) -> [Sums<8>; 2] {
        let x = self.running.products[0][second] - self.first.0;
        let w = self.running.weights[0][second] - self.first.1;
        let mut sums = [NOTHING; 2];
        for (shift, &[_, middle, _]) in [UP, DOWN].iter().enumerate() {
            let (below, above) = (self.below[shift], self.above[shift][second]);
            sums[shift] = (below.0 + x * middle + above.0, below.1 + w * middle * middle + above.1);
        }
        sums
    }
}

const NOTHING: Sums<8> = (Lanes::ZERO, Lanes::ZERO);
