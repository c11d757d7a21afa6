//! IQ2_XS: a super-block of 256 elements as 32 signed lattice points; every 16 elements have a 4-bit scale.
//!
//! `x = d * (scale + 1/2) / 4 * value`, 2.3125 bits per weight. Each point is a 16-bit word: 9 bits of index below 7 bits
//! of sign index.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::{LeF16, LeU16};
use crate::search::lattice as search_lattice;
use crate::search::points::{self, Again, Magnitudes, PointSearch};
use crate::search::{signed, weights};
use crate::tables::{EVEN_SIGNS, IQ2_XS_GRID};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ2_XS format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ2_XS;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ2XS {
    /// Scale of the scales.
    pub d: LeF16,
    /// Index and signs of each 8 elements.
    pub qs: [LeU16; 32],
    /// Two scales per byte, low nibble first.
    pub scales: [u8; 8],
}

impl BlockIQ2XS {
    /// The values, in order of element: plus or minus 8, 25 or 43.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = [0; 256];
        for (word, quants) in self.qs.iter().zip(quants.as_chunks_mut::<8>().0) {
            let word = usize::from(word.get());
            *quants = lattice::signed_point(IQ2_XS_GRID[word & 511], EVEN_SIGNS[word >> 9]);
        }
        quants
    }

    /// The scale of each group of 16: 0 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [u8; 16] {
        std::array::from_fn(|group| self.scales[group / 2] >> (group % 2 * 4) & 0xF)
    }
}

impl BlockFormat for IQ2_XS {
    const TYPE: TensorType = TensorType::IQ2_XS;
    type Block = BlockIQ2XS;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ2XS, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * (0.5 + f32::from(scale)) * 0.25);
        groups::decode_scaled::<16>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockIQ2XS, [facing]: &[BlockQ8K; 1]) -> f32 {
        let scales = block.group_scales().map(|scale| 2 * scale as i8 + 1);
        let product = groups::dot_scaled::<16>(&block.quants(), &scales, &facing.qs);
        block.d.to_f32() * facing.d.get() * 0.125 * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ2XS]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ2XS {
    const SEARCH: PointSearch = PointSearch { largest: 2, reach: 9, step: 0.1, again: Again::OffLattice };
    let points = &*search_lattice::IQ2_XS;
    let importance = importance.unwrap_or(&weights::EVEN);
    let usual = weights::sum_of_squares(values) / 256.0;
    let (mut scales, mut qs) = ([0.0; 16], [LeU16::new(0); 32]);
    for (g, x) in values.as_chunks::<16>().0.iter().enumerate() {
        let importance = &importance.as_chunks::<16>().0[g];
        let weights = weights::of_group(x, importance, usual);
        let (x, mut signs) = points::even_signs(x, &weights);
        let highest = points::highest(&x);
        if highest < signed::NOTHING {
            continue;
        }
        let group = Magnitudes { x, weights, roots: weights.map(f32::sqrt) };
        let mut found = SEARCH.find::<24, 16, 8, 2>(points, &group, highest, highest / 5.0);
        found.turn(&mut signs, 127);
        for k in 0..2 {
            qs[2 * g + k] = LeU16::new(points.index(found.codes[k]) as u16 | u16::from(signs[k]) << 9);
        }
        scales[g] = found.scale;
    }
    let Some((d, scales)) = points::odd_scales(&scales, 31.0, 15) else { return BlockIQ2XS::zeroed() };
    let scales = std::array::from_fn(|i| scales[2 * i] | scales[2 * i + 1] << 4);
    BlockIQ2XS { d: LeF16::from_f32(d), qs, scales }
}
