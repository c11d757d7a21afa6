//! MXFP4: 32 E2M1 floats under one power of two (OCP Microscaling Formats 1.0).
//!
//! `x = 2^(e - 128) * value`, with the values doubled to integers. The low nibbles are the first half of the block.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::formats::e2m1;
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::groups;
use crate::rounding;
use crate::tables::E2M1_DOUBLED;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The MXFP4 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct MXFP4;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockMXFP4 {
    /// Exponent (E8M0).
    pub e: u8,
    /// Codes of E2M1 values.
    pub qs: [u8; 16],
}

impl BlockMXFP4 {
    /// The doubled values, in order of element: -12 to 12.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut codes = [0; 32];
        groups::split_nibbles(&self.qs, &mut codes);
        codes.map(|code| E2M1_DOUBLED[usize::from(code)])
    }

    /// Half of the block's power of two, to match the doubled values; 255, NaN in the standard, is taken as a number.
    #[inline(always)]
    pub fn scale(&self) -> f32 {
        // 2^-128 and 2^-127 are subnormal.
        f32::from_bits(if self.e < 2 { 0x0020_0000 << self.e } else { (u32::from(self.e) - 1) << 23 })
    }
}

impl BlockFormat for MXFP4 {
    const TYPE: TensorType = TensorType::MXFP4;
    type Block = BlockMXFP4;
    type Values = [f32; 32];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockMXFP4, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.quants(), &[block.scale()], out);
    }

    fn has_reserved_scale(block: &BlockMXFP4) -> bool {
        block.e == 0xFF
    }

    fn dot_block(block: &BlockMXFP4, [facing]: &[BlockQ80; 1]) -> f32 {
        facing.d.to_f32() * block.scale() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}

/// The largest magnitude lands between 4 and 8, of which the largest value is 6.
fn encode(values: &[f32; 32]) -> BlockMXFP4 {
    let largest = extremes::farthest_from_zero(values).abs();
    // Exponents below those of E8M0 wrap around, as in the reference.
    let e = if largest > 0.0 { rounding::truncate(largest.log2().floor() - 2.0 + 127.0) as u8 } else { 0 };
    let scale = BlockMXFP4 { e, qs: [0; 16] }.scale();
    let code = |value| e2m1::nearest_code(value, scale);
    let (first, second) = values.split_at(16);
    BlockMXFP4 { e, qs: std::array::from_fn(|i| code(first[i]) | code(second[i]) << 4) }
}
