//! IQ1_S: a super-block of 256 elements as 32 ternary lattice points; every 32 elements have a 3-bit scale and a shift.
//!
//! `x = d * (2 * scale + 1) * (value + shift)`, 1.5625 bits per weight. A point's index has 8 bits in `qs` and 3 in `qh`,
//! whose words also hold the scale (bits 12 to 14) and the sign of the shift (bit 15).

use crate::block_format::BlockFormat;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::formats::ternary_lattice::{self, EIGHTH};
use crate::groups;
use crate::little_endian::{LeF16, LeU16};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ1_S format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ1_S;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ1S {
    /// Scale of the scales.
    pub d: LeF16,
    /// Low eight bits of the index of each 8 elements.
    pub qs: [u8; 32],
    /// Upper index bits, scale and shift of each group of 32.
    pub qh: [LeU16; 8],
}

impl BlockIQ1S {
    /// The values in eighths, in order of element: -9 to 9.
    #[inline(always)]
    pub fn eighths(&self) -> [i8; 256] {
        let mut eighths = [0; 256];
        for (i, eighths) in eighths.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let word = usize::from(self.qh[i / 4].get());
            let index = usize::from(self.qs[i]) | (word >> (3 * (i % 4)) & 7) << 8;
            *eighths = ternary_lattice::shifted_point(index, if word >> 15 == 0 { 1 } else { -1 });
        }
        eighths
    }

    /// The factor of each group of 32: odd, 1 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 8] {
        self.qh.map(|word| 2 * (word.get() >> 12 & 7) as i8 + 1)
    }
}

impl BlockFormat for IQ1_S {
    const TYPE: TensorType = TensorType::IQ1_S;
    type Block = BlockIQ1S;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    fn decode_block(block: &BlockIQ1S, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        ternary_lattice::decode_eighths::<32>(&block.eighths(), &scales, out);
    }

    fn dot_block(block: &BlockIQ1S, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<32>(&block.eighths(), &block.group_scales(), &facing.qs);
        block.d.to_f32() * facing.d.get() * (product as f32 * EIGHTH)
    }
}
