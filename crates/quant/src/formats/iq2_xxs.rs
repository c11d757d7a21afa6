//! IQ2_XXS: a super-block of 256 elements as 32 signed lattice points; every 32 elements have a 4-bit scale.
//!
//! `x = d * (scale + 1/2) / 4 * value`, 2.0625 bits per weight. Each group of 32 is two little-endian words: four point
//! indices of a byte, then four sign indices of 7 bits with the scale on top.

use crate::block_format::BlockFormat;
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::{LeF16, LeU32};
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
