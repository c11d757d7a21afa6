//! IQ1_M: a super-block of 256 elements as 32 ternary lattice points, each with its shift; every 16 elements have a 3-bit
//! scale.
//!
//! `x = d * (2 * scale + 1) * (value + shift)`, 1.75 bits per weight. A nibble of `qh` holds three upper index bits and the
//! sign of the shift. The four words of `scales` hold four scales each, and a quarter of the half-precision `d` on top.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::formats::ternary_lattice::{self, EIGHTH};
use crate::groups;
use crate::lanes::Lanes;
use crate::little_endian::{LeF16, LeU16};
use crate::search::lattice;
use crate::search::points;
use crate::search::ternary::{self, DOWN, Group, Running, Splits, Sums, UP, Values};
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
    let groups: &[[f32; 16]; 16] = values.as_chunks().0.try_into().expect("a block has 16 groups");
    let (mut weights, mut ranks) = ([[0.0; 16]; 16], [[0; 16]; 16]);
    for (g, x) in groups.iter().enumerate() {
        weights[g] = match importance {
            Some(importance) => weights::of_group(x, &importance.as_chunks::<16>().0[g], usual),
            None => x.map(|x| x * x),
        };
        ranks[g] = Group { x, weights: &weights[g] }.ranks();
    }
    let splits = ternary::best_splits(TwoShifts::new(&Running::new(groups, &weights, &ranks)));
    let (mut scales, mut variants, mut indices) = ([0.0; 16], [0; 16], [[0u16; 2]; 16]);
    for (g, x) in groups.iter().enumerate() {
        if points::highest(&x.map(f32::abs)) < NOTHING {
            continue;
        }
        let Some(mut split) = splits[g] else { continue };
        let levels = split.levels(&ranks[g], 4);
        variants[g] = split.variant;
        let group = Group { x, weights: &weights[g] };
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
    for (g, x) in groups.iter().enumerate() {
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

/// Every split of groups of 16 elements, whose halves have shifts of their own.
///
/// The values of a point are one apart, so a sum over three runs is that of the highest value for all, less one for each
/// element below a change. By half and shift:
struct TwoShifts<'a> {
    running: &'a Running<16, 17, 2>,
    /// The sums with the highest value for all.
    highest: [[Sums<16>; 2]; 2],
    /// What the squares change by below the second change.
    below_second: [[[Lanes<16>; 17]; 2]; 2],
    /// The products below the first change.
    products: [Lanes<16>; 2],
    /// The squares of the highest value for all, changed below the first change.
    squares: [[Lanes<16>; 2]; 2],
}

impl<'a> TwoShifts<'a> {
    #[inline(always)]
    fn new(running: &'a Running<16, 17, 2>) -> Self {
        let mut highest = [[(Lanes::ZERO, Lanes::ZERO); 2]; 2];
        let mut below_second = [[[Lanes::ZERO; 17]; 2]; 2];
        for half in 0..2 {
            let (products, weights) = (&running.products[half], &running.weights[half]);
            for (shift, &[_, middle, high]) in [UP, DOWN].iter().enumerate() {
                highest[half][shift] = (products[16] * high, weights[16] * high * high);
                for j in 0..17 {
                    below_second[half][shift][j] = weights[j] * (middle * middle - high * high);
                }
            }
        }
        TwoShifts { running, highest, below_second, products: [Lanes::ZERO; 2], squares: [[Lanes::ZERO; 2]; 2] }
    }

    /// The sums of a half under a shift.
    #[inline(always)]
    fn half(&self, half: usize, shift: usize, second: usize) -> Sums<16> {
        let below = self.products[half] + self.running.products[half][second];
        let square = self.squares[half][shift] + self.below_second[half][shift][second];
        (self.highest[half][shift].0 - below, square)
    }
}

impl Splits<16, 4> for TwoShifts<'_> {
    const N: usize = 16;

    #[inline(always)]
    fn start(&mut self, first: usize) {
        for half in 0..2 {
            self.products[half] = self.running.products[half][first];
            for (shift, &[low, middle, _]) in [UP, DOWN].iter().enumerate() {
                let below = self.running.weights[half][first] * (low * low - middle * middle);
                self.squares[half][shift] = self.highest[half][shift].1 + below;
            }
        }
    }

    #[inline(always)]
    fn sums(&self, second: usize) -> [Sums<16>; 4] {
        let low = [self.half(0, 0, second), self.half(0, 1, second)];
        let high = [self.half(1, 0, second), self.half(1, 1, second)];
        let mut sums = [(Lanes::ZERO, Lanes::ZERO); 4];
        for (variant, sums) in sums.iter_mut().enumerate() {
            let (low, high) = (low[variant / 2], high[variant % 2]);
            *sums = (low.0 + high.0, low.1 + high.1);
        }
        sums
    }
}
