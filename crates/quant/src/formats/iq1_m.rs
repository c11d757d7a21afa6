//! IQ1_M: a super-block of 256 elements as 32 ternary lattice points, each with its shift; every 16 elements have a 3-bit
//! scale.
//!
//! `x = d * (2 * scale + 1) * (value + shift)`, 1.75 bits per weight. A nibble of `qh` holds three upper index bits and the
//! sign of the shift. The four words of `scales` hold four scales each, and a quarter of the half-precision `d` on top.

use crate::block_format::BlockFormat;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::formats::ternary_lattice::{self, EIGHTH};
use crate::groups;
use crate::little_endian::{LeF16, LeU16};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ1_M format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ1_M;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ1M {
    /// Low eight bits of the index of each 8 elements.
    pub qs: [u8; 32],
    /// Upper index bits and shift, two points per byte.
    pub qh: [u8; 16],
    /// Scales, and the scale of the scales.
    pub scales: [LeU16; 4],
}

impl BlockIQ1M {
    /// The values in eighths, in order of element: -9 to 9.
    #[inline(always)]
    pub fn eighths(&self) -> [i8; 256] {
        let mut eighths = [0; 256];
        for (i, eighths) in eighths.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let nibble = usize::from(self.qh[i / 2] >> (i % 2 * 4) & 0xF);
            let index = usize::from(self.qs[i]) | (nibble & 7) << 8;
            *eighths = ternary_lattice::shifted_point(index, if nibble & 8 == 0 { 1 } else { -1 });
        }
        eighths
    }

    /// The factor of each group of 16: odd, 1 to 15.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 16] {
        std::array::from_fn(|group| 2 * (self.scales[group / 4].get() >> (group % 4 * 3) & 7) as i8 + 1)
    }

    /// The scale of the scales.
    #[inline(always)]
    pub fn d(&self) -> LeF16 {
        let quarters = self.scales.iter().enumerate();
        LeF16::from_bits(quarters.fold(0, |bits, (i, word)| bits | word.get() >> 12 << (4 * i)))
    }
}

impl BlockFormat for IQ1_M {
    const TYPE: TensorType = TensorType::IQ1_M;
    type Block = BlockIQ1M;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    fn decode_block(block: &BlockIQ1M, out: &mut [f32; 256]) {
        let d = block.d().to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        ternary_lattice::decode_eighths::<16>(&block.eighths(), &scales, out);
    }

    fn dot_block(block: &BlockIQ1M, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<16>(&block.eighths(), &block.group_scales(), &facing.qs);
        block.d().to_f32() * facing.d.get() * (product as f32 * EIGHTH)
    }
}
