//! IQ3_S: a super-block of 256 elements as 64 lattice points of four; every 32 elements have a 4-bit scale.
//!
//! `x = d * (2 * scale + 1) * value`, 3.4375 bits per weight. A point's index has 8 bits in `qs` and 1 in `qh`; all signs
//! are stored.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use crate::search::lattice as search_lattice;
use crate::search::points::{self, Again, Magnitudes, PointSearch};
use crate::search::weights;
use crate::tables::IQ3_S_GRID;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ3_S format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ3_S;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ3S {
    /// Scale of the scales.
    pub d: LeF16,
    /// Low eight bits of the index of each 4 elements.
    pub qs: [u8; 64],
    /// Ninth bits of eight indices per byte.
    pub qh: [u8; 8],
    /// Signs of each 8 elements.
    pub signs: [u8; 32],
    /// Two scales per byte, low nibble first.
    pub scales: [u8; 4],
}

impl BlockIQ3S {
    /// The values, in order of element: odd, magnitudes from 1 to 15.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = [0; 256];
        for (i, quants) in quants.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let point = |index: usize| {
                let ninth = usize::from(self.qh[index / 8] >> (index % 8) & 1);
                IQ3_S_GRID[usize::from(self.qs[index]) | ninth << 8]
            };
            *quants = lattice::signed_pair(point(2 * i), point(2 * i + 1), self.signs[i]);
        }
        quants
    }

    /// The factor of each group of 32: odd, 1 to 31.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 8] {
        std::array::from_fn(|group| 2 * (self.scales[group / 2] >> (group % 2 * 4) & 0xF) as i8 + 1)
    }
}

impl BlockFormat for IQ3_S {
    const TYPE: TensorType = TensorType::IQ3_S;
    type Block = BlockIQ3S;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ3S, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        groups::decode_scaled::<32>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockIQ3S, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<32>(&block.quants(), &block.group_scales(), &facing.qs);
        block.d.to_f32() * facing.d.get() * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ3S]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ3S {
    const SEARCH: PointSearch = PointSearch { largest: 7, reach: 9, step: 0.2, again: Again::AllIfOffLattice };
    // The scale is raised by this, which llama.cpp's authors found to lose less.
    const RAISED: f32 = 1.033;
    let points = &*search_lattice::IQ3_S;
    let usual = 2.0 * weights::sum_of_squares(values) / 256.0;
    let mut scales = [0.0; 8];
    let mut block = BlockIQ3S::zeroed();
    for (g, x) in values.as_chunks::<32>().0.iter().enumerate() {
        let weights = match importance {
            Some(importance) => weights::of_group(x, &importance.as_chunks::<32>().0[g], usual),
            None => x.map(|x| x * x),
        };
        let (x, mut signs) = points::all_signs(x);
        let highest = points::highest(&x);
        if highest == 0.0 {
            continue;
        }
        let group = Magnitudes { x, weights, roots: weights.map(f32::sqrt) };
        let mut found = SEARCH.find::<24, 32, 4, 3>(points, &group, highest, highest / 15.0);
        found.turn(&mut signs, 255);
        for k in 0..8 {
            let index = points.index(found.codes[k]);
            block.qs[8 * g + k] = index as u8;
            block.qh[g] |= ((index >> 8) << k) as u8;
        }
        block.signs[4 * g..][..4].copy_from_slice(&signs);
        scales[g] = found.scale;
    }
    if let Some((d, scales)) = points::odd_scales(&scales, 31.0, 15) {
        block.d = LeF16::from_f32(d * RAISED);
        block.scales = std::array::from_fn(|i| scales[2 * i] | scales[2 * i + 1] << 4);
    }
    block
}
