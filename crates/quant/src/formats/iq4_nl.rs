//! IQ4_NL: 32 codes of 16 unevenly spaced values and one scale.
//!
//! `x = d * value[q]`, 4.5 bits per weight. The low nibbles are the first half of the block.

use crate::block_format::BlockFormat;
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::groups;
use crate::little_endian::LeF16;
use crate::tables::IQ4_VALUES;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ4_NL format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ4_NL;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ4NL {
    /// Scale.
    pub d: LeF16,
    /// Codes.
    pub qs: [u8; 16],
}

impl BlockIQ4NL {
    /// The values, in order of element: -127 to 113.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut codes = [0; 32];
        groups::split_nibbles(&self.qs, &mut codes);
        codes.map(|code| IQ4_VALUES[usize::from(code)])
    }
}

impl BlockFormat for IQ4_NL {
    const TYPE: TensorType = TensorType::IQ4_NL;
    type Block = BlockIQ4NL;
    type Values = [f32; 32];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 1];

    fn decode_block(block: &BlockIQ4NL, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockIQ4NL, [facing]: &[BlockQ80; 1]) -> f32 {
        facing.d.to_f32() * block.d.to_f32() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}
