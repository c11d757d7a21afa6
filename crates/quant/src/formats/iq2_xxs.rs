//! IQ2_XXS: a super-block of 256 elements as 32 signed lattice points; every 32 elements have a 4-bit scale.
//!
//! `x = d * (scale + 1/2) / 4 * value`, 2.0625 bits per weight. Each group of 32 is two little-endian words: four point
//! indices of a byte, then four sign indices of 7 bits with the scale on top.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::lanes::Lanes;
use crate::little_endian::{LeF16, LeU32};
use crate::search::lattice as search_lattice;
use crate::search::points::{self, Again, Magnitudes, PointSearch};
use crate::search::{positive, signed, weights};
use crate::tables::{EVEN_SIGNS, IQ2_XXS_GRID};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ2_XXS format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ2_XXS;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ2XXS {
    /// Scale of the scales.
    pub d: LeF16,
    /// Point indices, and signs with scale, of each group of 32.
    pub qs: [[LeU32; 2]; 8],
}

impl BlockIQ2XXS {
    /// The values, in order of element: plus or minus 8, 25 or 43.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = [0; 256];
        for ([indices, signs], quants) in self.qs.iter().zip(quants.as_chunks_mut::<32>().0) {
            let signs = signs.get();
            for (i, (index, quants)) in indices.0.iter().zip(quants.as_chunks_mut::<8>().0).enumerate() {
                let point = IQ2_XXS_GRID[usize::from(*index)];
                *quants = lattice::signed_point(point, EVEN_SIGNS[(signs >> (7 * i) & 127) as usize]);
            }
        }
        quants
    }

    /// The scale of each group of 32: 0 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [u8; 8] {
        self.qs.map(|[_, signs]| (signs.get() >> 28) as u8)
    }
}

impl BlockFormat for IQ2_XXS {
    const TYPE: TensorType = TensorType::IQ2_XXS;
    type Block = BlockIQ2XXS;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ2XXS, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * (0.5 + f32::from(scale)) * 0.25);
        groups::decode_scaled::<32>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockIQ2XXS, [facing]: &[BlockQ8K; 1]) -> f32 {
        let scales = block.group_scales().map(|scale| 2 * scale as i8 + 1);
        let product = groups::dot_scaled::<32>(&block.quants(), &scales, &facing.qs);
        block.d.to_f32() * facing.d.get() * 0.125 * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ2XXS]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ2XXS {
    const SEARCH: PointSearch = PointSearch { largest: 2, reach: 6, step: 0.1, again: Again::All };
    let points = &*search_lattice::IQ2_XXS;
    let importance = importance.unwrap_or(&weights::EVEN);
    let usual = weights::sum_of_squares(values) / 256.0;
    let mut groups: [Magnitudes<32>; 8] = std::array::from_fn(|_| Magnitudes::ZERO);
    let mut signs = [[0; 4]; 8];
    for (g, group) in groups.iter_mut().enumerate() {
        let (x, importance) = (&values.as_chunks::<32>().0[g], &importance.as_chunks::<32>().0[g]);
        let weights = weights::of_group(x, importance, usual);
        let (magnitudes, even_signs) = points::even_signs(x, &weights);
        *group = Magnitudes { x: magnitudes, weights, roots: weights.map(f32::sqrt) };
        signs[g] = even_signs;
    }
    // The scale without a lattice, from which the tries start.
    let x: [Lanes<8>; 32] = std::array::from_fn(|i| Lanes(std::array::from_fn(|g| groups[g].x[i])));
    let importance: [Lanes<8>; 32] = std::array::from_fn(|i| Lanes(std::array::from_fn(|g| groups[g].weights[i])));
    let (first, _) = positive::find(&x, &importance, 4.0);

    let mut scales = [0.0; 8];
    let mut qs = [[0u32; 2]; 8];
    for (g, group) in groups.iter().enumerate() {
        let top = 3.0 * first.0[g];
        if points::highest(&group.x) < signed::NOTHING || top.is_nan() || top <= 0.0 {
            continue;
        }
        let mut found = SEARCH.find::<16, 32, 8, 2>(points, group, top, first.0[g]);
        found.turn(&mut signs[g], 127);
        for (k, &signs) in signs[g].iter().enumerate() {
            qs[g][0] |= (points.index(found.codes[k]) as u32) << (8 * k);
            qs[g][1] |= u32::from(signs) << (7 * k);
        }
        scales[g] = found.scale;
    }
    let Some((d, scales)) = points::odd_scales(&scales, 31.0, 15) else { return BlockIQ2XXS::zeroed() };
    let qs = std::array::from_fn(|g| [qs[g][0], qs[g][1] | u32::from(scales[g]) << 28].map(LeU32::new));
    BlockIQ2XXS { d: LeF16::from_f32(d), qs }
}
