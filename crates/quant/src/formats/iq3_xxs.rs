//! IQ3_XXS: a super-block of 256 elements as 64 lattice points of four; every 32 elements have a 4-bit scale.
//!
//! `x = d * (scale + 1/2) / 2 * value`, 3.0625 bits per weight. A point index is a byte; each group of 32 has a
//! little-endian word of four sign indices of 7 bits with the scale on top.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::{LeF16, LeU32};
use crate::search::lattice as search_lattice;
use crate::search::points::{self, Again, Magnitudes, PointSearch};
use crate::search::weights;
use crate::tables::{EVEN_SIGNS, IQ3_XXS_GRID};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ3_XXS format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ3_XXS;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ3XXS {
    /// Scale of the scales.
    pub d: LeF16,
    /// Index of each 4 elements.
    pub qs: [u8; 64],
    /// Signs and scale of each group of 32.
    pub scales_and_signs: [LeU32; 8],
}

impl BlockIQ3XXS {
    /// The values, in order of element: magnitudes from 4 to 62.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = [0; 256];
        let pairs = self.qs.as_chunks::<2>().0.iter().zip(quants.as_chunks_mut::<8>().0);
        for (i, ([first, second], quants)) in pairs.enumerate() {
            let signs = self.scales_and_signs[i / 4].get() >> (7 * (i % 4)) & 127;
            let (first, second) = (IQ3_XXS_GRID[usize::from(*first)], IQ3_XXS_GRID[usize::from(*second)]);
            *quants = lattice::signed_pair(first, second, EVEN_SIGNS[signs as usize]);
        }
        quants
    }

    /// The scale of each group of 32: 0 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [u8; 8] {
        self.scales_and_signs.map(|word| (word.get() >> 28) as u8)
    }
}

impl BlockFormat for IQ3_XXS {
    const TYPE: TensorType = TensorType::IQ3_XXS;
    type Block = BlockIQ3XXS;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ3XXS, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * (0.5 + f32::from(scale)) * 0.5);
        groups::decode_scaled::<32>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockIQ3XXS, [facing]: &[BlockQ8K; 1]) -> f32 {
        let scales = block.group_scales().map(|scale| 2 * scale as i8 + 1);
        let product = groups::dot_scaled::<32>(&block.quants(), &scales, &facing.qs);
        block.d.to_f32() * facing.d.get() * 0.25 * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ3XXS]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ3XXS {
    const SEARCH: PointSearch = PointSearch { largest: 7, reach: 15, step: 0.2, again: Again::OffLattice };
    // Below this, a group counts as all zero.
    const NOTHING: f32 = 1e-8;
    // The scale is raised by this, which llama.cpp's authors found to lose less.
    const RAISED: f32 = 1.0125;
    let points = &*search_lattice::IQ3_XXS;
    let usual = 2.0 * weights::sum_of_squares(values) / 256.0;
    let (mut scales, mut qs, mut all_signs) = ([0.0; 8], [0; 64], [0u32; 8]);
    for (g, x) in values.as_chunks::<32>().0.iter().enumerate() {
        let weights = match importance {
            Some(importance) => weights::of_group(x, &importance.as_chunks::<32>().0[g], usual),
            None => x.map(|x| x * x),
        };
        let (x, mut signs) = points::even_signs(x, &weights);
        let highest = points::highest(&x);
        if highest < NOTHING {
            continue;
        }
        let group = Magnitudes { x, weights, roots: weights.map(f32::sqrt) };
        let mut found = SEARCH.find::<32, 32, 4, 3>(points, &group, highest, highest / 15.0);
        found.turn(&mut signs, 127);
        for k in 0..8 {
            qs[8 * g + k] = points.index(found.codes[k]) as u8;
        }
        all_signs[g] = (0..4).fold(0, |bits, k| bits | u32::from(signs[k]) << (7 * k));
        scales[g] = found.scale;
    }
    let Some((d, scales)) = points::odd_scales(&scales, 31.0, 15) else { return BlockIQ3XXS::zeroed() };
    BlockIQ3XXS {
        d: LeF16::from_f32(d * RAISED),
        qs,
        scales_and_signs: std::array::from_fn(|g| LeU32::new(all_signs[g] | u32::from(scales[g]) << 28)),
    }
}
