//! IQ1_M: a super-block of 256 elements as 32 ternary lattice points, each with its shift; every 16 elements have a 3-bit
//! scale.
//!
//! `x = d * (2 * scale + 1) * (value + shift)`, 1.75 bits per weight. A nibble of `qh` holds three upper index bits and the
//! sign of the shift. The four words of `scales` hold four scales each, and a quarter of the half-precision `d` on top.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::formats::ternary_lattice::{self, EIGHTH};
use crate::groups;
use crate::little_endian::{LeF16, LeU16};
use crate::search::lattice;
use crate::search::points;
use crate::search::ternary::{self, DOWN, Group, Sums, UP, Values};
use crate::search::weights;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ1_M format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ1_M;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ1M {
    /// Low eight bits of the index of each 8 elements.
    pub qs: [u8; 32],
    /// Upper index bits and shift, two points per byte.
    pub qh: [u8; 16],
    /// Scales, and the scale of the scales.
    pub scales: [LeU16; 4],
}

impl BlockIQ1M {
    /// The values in eighths, in order of element: -9 to 9.
    #[inline(always)]
    pub fn eighths(&self) -> [i8; 256] {
        let mut eighths = [0; 256];
        for (i, eighths) in eighths.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let nibble = usize::from(self.qh[i / 2] >> (i % 2 * 4) & 0xF);
            let index = usize::from(self.qs[i]) | (nibble & 7) << 8;
            *eighths = ternary_lattice::shifted_point(index, if nibble & 8 == 0 { 1 } else { -1 });
        }
        eighths
    }

    /// The factor of each group of 16: odd, 1 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 16] {
        std::array::from_fn(|group| 2 * (self.scales[group / 4].get() >> (group % 4 * 3) & 7) as i8 + 1)
    }

    /// The scale of the scales.
    #[inline(always)]
    pub fn d(&self) -> LeF16 {
        let quarters = self.scales.iter().enumerate();
        LeF16::from_bits(quarters.fold(0, |bits, (i, word)| bits | word.get() >> 12 << (4 * i)))
    }
}

impl BlockFormat for IQ1_M {
    const TYPE: TensorType = TensorType::IQ1_M;
    type Block = BlockIQ1M;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ1M, out: &mut [f32; 256]) {
        let d = block.d().to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        ternary_lattice::decode_eighths::<16>(&block.eighths(), &scales, out);
    }

    fn dot_block(block: &BlockIQ1M, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<16>(&block.eighths(), &block.group_scales(), &facing.qs);
        block.d().to_f32() * facing.d.get() * (product as f32 * EIGHTH)
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ1M]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

/// Shifts of the two halves of a group, in the order they are tried.
const SHIFTS: [[Values; 2]; 4] = [[UP, UP], [UP, DOWN], [DOWN, UP], [DOWN, DOWN]];
/// Their bits.
const SHIFT_BITS: [u8; 4] = [0x00, 0x80, 0x08, 0x88];

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ1M {
    // Below this, a group counts as all zero.
    const NOTHING: f32 = 1e-7;
    // The scale is raised by this, which llama.cpp's authors found to lose less.
    const RAISED: f32 = 1.1125;
    let usual = 2.0 * weights::sum_of_squares(values) / 256.0;
    let (mut scales, mut variants, mut weights) = ([0.0; 16], [0; 16], [[0.0; 16]; 16]);
    let mut indices = [[0u16; 2]; 16];
    for (g, x) in values.as_chunks::<16>().0.iter().enumerate() {
        weights[g] = match importance {
            Some(importance) => weights::of_group(x, &importance.as_chunks::<16>().0[g], usual),
            None => x.map(|x| x * x),
        };
        if points::highest(&x.map(f32::abs)) < NOTHING {
            continue;
        }
        let group = Group { x, weights: &weights[g] };
        let ranks = group.ranks();
        let Some(mut split) = best_split(&group, &ranks) else { continue };
        let levels = split.levels(&ranks, 4);
        variants[g] = split.variant;
        (indices[g], scales[g]) = ternary::points(&lattice::IQ1, &group, &levels, &SHIFTS[split.variant], split.scale);
    }
    let mut block = BlockIQ1M::zeroed();
    for (g, [low, high]) in indices.into_iter().enumerate() {
        block.qs[2 * g] = low as u8;
        block.qs[2 * g + 1] = high as u8;
        block.qh[g] = (low >> 8) as u8 | (high >> 8 << 4) as u8;
    }
    let Some((mut d, scales)) = points::odd_scales(&scales, 15.0, 7) else { return block };
    // The scale of scales that fits best, now that the scales are steps.
    let (mut words, mut sums) = ([0; 4], (0.0, 0.0));
    for (g, x) in values.as_chunks::<16>().0.iter().enumerate() {
        words[g / 4] |= u16::from(scales[g]) << (3 * (g % 4));
        block.qh[g] |= SHIFT_BITS[variants[g]];
        let factor = f32::from(2 * scales[g] + 1);
        let points = indices[g].map(|index| lattice::IQ1.code(usize::from(index)));
        let shifts = &SHIFTS[variants[g]];
        let value = |i: usize| shifts[i / 8][usize::from(points[i / 8] >> (2 * (i % 8)) & 3)] * factor;
        Group { x, weights: &weights[g] }.add_sums(value, &mut sums);
    }
    if sums.1 > 0.0 {
        d = sums.0 / sums.1;
    }
    let d = LeF16::from_f32(d * RAISED).to_bits();
    block.scales = std::array::from_fn(|i| LeU16::new(words[i] | d >> (4 * i) << 12));
    block
}

/// Every split of 16 elements, whose halves have shifts of their own.
#[inline(always)]
fn best_split(group: &Group<'_, 16>, ranks: &[usize; 16]) -> Option<ternary::Split> {
    // The values of a point are one apart, so a sum over three runs is that of the highest value for all, less one for
    // each element below a change.
    let (mut x, mut w) = ([[0.0; 17]; 2], [[0.0; 17]; 2]);
    for (i, &rank) in ranks.iter().enumerate() {
        w[i / 8][rank + 1] = group.weights[i];
        x[i / 8][rank + 1] = group.weights[i] * group.x[i];
    }
    for half in 0..2 {
        for j in 0..16 {
            x[half][j + 1] += x[half][j];
            w[half][j + 1] += w[half][j];
        }
    }
    let sums = |half: usize, first: usize, values: &Values| -> Sums<17> {
        let (x, w) = (&x[half], &w[half]);
        let [low, middle, high] = *values;
        let (below, above) = (low * low - middle * middle, middle * middle - high * high);
        let product = |j: usize| x[16] * high - (x[first] + x[j]);
        let square = |j: usize| w[16] * high * high + w[first] * below + w[j] * above;
        (std::array::from_fn(product), std::array::from_fn(square))
    };
    let both = |a: &Sums<17>, b: &Sums<17>| -> Sums<17> {
        (std::array::from_fn(|j| a.0[j] + b.0[j]), std::array::from_fn(|j| a.1[j] + b.1[j]))
    };
    ternary::best_split(|first| {
        let halves = [0, 1].map(|half| [&UP, &DOWN].map(|values| sums(half, first, values)));
        std::array::from_fn::<_, 4, _>(|variant| both(&halves[0][variant / 2], &halves[1][variant % 2]))
    })
}
