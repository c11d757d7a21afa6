//! IQ2_S: a super-block of 256 elements as 32 signed lattice points; every 16 elements have a 4-bit scale.
//!
//! `x = d * (scale + 1/2) / 4 * value`, 2.5625 bits per weight. A point's index has 8 bits in `qs` and 2 in `qh`; all eight
//! signs are stored.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use crate::search::lattice as search_lattice;
use crate::search::points::{self, Again, Magnitudes, PointSearch};
use crate::search::weights;
use crate::tables::IQ2_S_GRID;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ2_S format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ2_S;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ2S {
    /// Scale of the scales.
    pub d: LeF16,
    /// Low eight bits of the index of each 8 elements.
    pub qs: [u8; 32],
    /// Signs of each 8 elements.
    pub signs: [u8; 32],
    /// Upper two bits of four indices per byte.
    pub qh: [u8; 8],
    /// Two scales per byte, low nibble first.
    pub scales: [u8; 8],
}

impl BlockIQ2S {
    /// The values, in order of element: plus or minus 8, 25 or 43.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = [0; 256];
        for (i, quants) in quants.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let upper = usize::from(self.qh[i / 4] >> (i % 4 * 2) & 3);
            let index = usize::from(self.qs[i]) | upper << 8;
            *quants = lattice::signed_point(IQ2_S_GRID[index], self.signs[i]);
        }
        quants
    }

    /// The scale of each group of 16: 0 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [u8; 16] {
        std::array::from_fn(|group| self.scales[group / 2] >> (group % 2 * 4) & 0xF)
    }
}

impl BlockFormat for IQ2_S {
    const TYPE: TensorType = TensorType::IQ2_S;
    type Block = BlockIQ2S;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ2S, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * (0.5 + f32::from(scale)) * 0.25);
        groups::decode_scaled::<16>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockIQ2S, [facing]: &[BlockQ8K; 1]) -> f32 {
        let scales = block.group_scales().map(|scale| 2 * scale as i8 + 1);
        let product = groups::dot_scaled::<16>(&block.quants(), &scales, &facing.qs);
        block.d.to_f32() * facing.d.get() * 0.125 * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ2S]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ2S {
    const SEARCH: PointSearch = PointSearch { largest: 2, reach: 9, step: 0.1, again: Again::OffLattice };
    // Below this, a group counts as all zero.
    const NOTHING: f32 = 1e-8;
    // The scale is lowered by this, which llama.cpp's authors found to lose less.
    const LOWERED: f32 = 0.9875;
    let points = &*search_lattice::IQ2_S;
    let usual = 2.0 * weights::sum_of_squares(values) / 256.0;
    let mut scales = [0.0; 16];
    let mut block = BlockIQ2S::zeroed();
    for (g, x) in values.as_chunks::<16>().0.iter().enumerate() {
        let weights = match importance {
            Some(importance) => weights::of_group(x, &importance.as_chunks::<16>().0[g], usual),
            None => x.map(|x| 0.25 * usual + x * x),
        };
        let (x, mut signs) = points::all_signs(x);
        let highest = points::highest(&x);
        if highest < NOTHING {
            continue;
        }
        let group = Magnitudes { x, weights, roots: weights.map(f32::sqrt) };
        let mut found = SEARCH.find::<24, 16, 8, 2>(points, &group, highest, highest / 5.0);
        found.turn(&mut signs, 255);
        for (k, &signs) in signs.iter().take(2).enumerate() {
            let (index, at) = (points.index(found.codes[k]), 2 * g + k);
            block.qs[at] = index as u8;
            block.qh[at / 4] |= ((index >> 8) << (at % 4 * 2)) as u8;
            block.signs[at] = signs;
        }
        scales[g] = found.scale;
    }
    if let Some((d, scales)) = points::odd_scales(&scales, 31.0, 15) {
        block.d = LeF16::from_f32(d * LOWERED);
        block.scales = std::array::from_fn(|i| scales[2 * i] | scales[2 * i + 1] << 4);
    }
    block
}
