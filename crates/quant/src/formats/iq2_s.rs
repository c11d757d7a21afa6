//! IQ2_S: a super-block of 256 elements as 32 signed lattice points; every 16 elements have a 4-bit scale.
//!
//! `x = d * (scale + 1/2) / 4 * value`, 2.5625 bits per weight. A point's index has 8 bits in `qs` and 2 in `qh`; all eight
//! signs are stored.

use crate::block_format::BlockFormat;
use crate::formats::lattice;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
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
