//! Q6_K: a super-block of 256 signed 6-bit integers; every 16 have a signed 8-bit scale.
//!
//! `x = d * scale * (q - 32)`, 6.5625 bits per weight. In each half of 128, the low nibbles of 64 bytes of `ql` are the
//! first 64 elements and the high nibbles the rest; a byte of `qh` holds the upper bits of four elements 32 apart.

use crate::block_format::BlockFormat;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q6_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q6_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ6K {
    /// Low four bits.
    pub ql: [u8; 128],
    /// Upper two bits.
    pub qh: [u8; 64],
    /// Scale of each group of 16.
    pub scales: [i8; 16],
    /// Scale of the scales.
    pub d: LeF16,
}

impl BlockQ6K {
    /// The integers, in order of element: -32 to 31.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = groups::split_pairs(&self.qh);
        let halves = quants.as_chunks_mut::<128>().0.iter_mut().zip(self.ql.as_chunks::<64>().0);
        for (quants, low) in halves {
            let mut nibbles = [0; 128];
            groups::split_nibbles(low, &mut nibbles);
            for (quant, nibble) in quants.iter_mut().zip(nibbles) {
                *quant = (*quant << 4 | nibble as i8) - 32;
            }
        }
        quants
    }
}

impl BlockFormat for Q6_K {
    const TYPE: TensorType = TensorType::Q6_K;
    type Block = BlockQ6K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    fn decode_block(block: &BlockQ6K, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.scales.map(|scale| d * f32::from(scale));
        groups::decode_scaled::<16>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockQ6K, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<16>(&block.quants(), &block.scales, &facing.qs);
        block.d.to_f32() * facing.d.get() * product as f32
    }
}
