//! Q3_K: a super-block of 256 signed 3-bit integers; every 16 have a signed 6-bit scale.
//!
//! `x = d * (scale - 32) * (q - 4)`, 3.4375 bits per weight. A byte of `qs` holds the low bits of four elements 32 apart;
//! a byte of `hmask` the third bits of eight elements 32 apart.

use crate::block_format::BlockFormat;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q3_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q3_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ3K {
    /// Third bits.
    pub hmask: [u8; 32],
    /// Low two bits.
    pub qs: [u8; 64],
    /// Sixteen scales of six bits: low nibbles in bytes 0 to 7, then the upper pairs of bits.
    pub scales: [u8; 12],
    /// Scale of the scales.
    pub d: LeF16,
}

impl BlockQ3K {
    /// The integers, in order of element: -4 to 3.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = groups::split_pairs(&self.qs);
        for (bit, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (quant, mask) in quants.iter_mut().zip(self.hmask) {
                *quant += ((mask >> bit & 1) << 2) as i8 - 4;
            }
        }
        quants
    }

    /// The scale of each group of 16: -32 to 31.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 16] {
        std::array::from_fn(|group| {
            let low = self.scales[group % 8] >> (group / 8 * 4) & 0xF;
            let high = self.scales[8 + group % 4] >> (group / 4 * 2) & 3;
            (low | high << 4) as i8 - 32
        })
    }
}

impl BlockFormat for Q3_K {
    const TYPE: TensorType = TensorType::Q3_K;
    type Block = BlockQ3K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    fn decode_block(block: &BlockQ3K, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        groups::decode_scaled::<16>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockQ3K, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<16>(&block.quants(), &block.group_scales(), &facing.qs);
        block.d.to_f32() * facing.d.get() * product as f32
    }
}
