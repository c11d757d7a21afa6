//! NVFP4: 64 E2M1 floats; every 16 have an unsigned 8-bit float scale.
//!
//! `x = scale * value`, with the values doubled to integers and the scales halved. In each group of 16 the low nibbles are
//! the first half.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::formats::e2m1;
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::groups;
use crate::tables::E2M1_DOUBLED;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The NVFP4 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct NVFP4;

/// A block of 64 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockNVFP4 {
    /// Scale of each group of 16 (UE4M3).
    pub d: [u8; 4],
    /// Codes of E2M1 values.
    pub qs: [u8; 32],
}

impl BlockNVFP4 {
    /// The doubled values, in order of element: -12 to 12.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 64] {
        let mut codes = [0; 64];
        for (packed, codes) in self.qs.as_chunks::<8>().0.iter().zip(codes.as_chunks_mut::<16>().0) {
            groups::split_nibbles(packed, codes);
        }
        codes.map(|code| E2M1_DOUBLED[usize::from(code)])
    }

    /// Half of each group's scale, to match the doubled values.
    #[inline(always)]
    pub fn group_scales(&self) -> [f32; 4] {
        self.d.map(half_of_ue4m3)
    }
}

/// Half of an unsigned float of four exponent bits (bias 7) and three fraction bits; the NaN 0x7F is 0, bit 7 is ignored.
fn half_of_ue4m3(bits: u8) -> f32 {
    if bits == 0x7F {
        return 0.0;
    }
    let (exponent, fraction) = (u32::from(bits >> 3 & 0xF), u32::from(bits & 7));
    if exponent == 0 {
        // Steps of 2^-9, halved.
        fraction as f32 * (1.0 / 1024.0)
    } else {
        f32::from_bits((exponent + 127 - 7 - 1) << 23 | fraction << 20)
    }
}

impl BlockFormat for NVFP4 {
    const TYPE: TensorType = TensorType::NVFP4;
    type Block = BlockNVFP4;
    type Values = [f32; 64];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 2];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockNVFP4, out: &mut [f32; 64]) {
        groups::decode_scaled::<16>(&block.quants(), &block.group_scales(), out);
    }

    fn has_reserved_scale(block: &BlockNVFP4) -> bool {
        block.d.iter().any(|d| d & 0x7F == 0x7F)
    }

    fn dot_block(block: &BlockNVFP4, facing: &[BlockQ80; 2]) -> f32 {
        let quants = block.quants();
        let activations = facing.iter().flat_map(|facing| {
            let d = facing.d.to_f32();
            facing.qs.as_chunks::<16>().0.iter().map(move |quants| (d, quants))
        });
        let groups = quants.as_chunks::<16>().0.iter().zip(block.group_scales()).zip(activations);
        groups.map(|((quants, scale), (d, facing))| d * scale * groups::dot(quants, facing) as f32).sum()
    }
}

/// The largest magnitude of each group lands near 6, the largest value.
fn encode(values: &[f32; 64]) -> BlockNVFP4 {
    let mut block = BlockNVFP4::zeroed();
    let packed = block.qs.as_chunks_mut::<8>().0.iter_mut().zip(&mut block.d);
    for ((packed, d), values) in packed.zip(values.as_chunks::<16>().0) {
        *d = ue4m3(extremes::farthest_from_zero(values).abs() / 6.0);
        let scale = half_of_ue4m3(*d);
        let (first, second) = values.split_at(8);
        for ((byte, &low), &high) in packed.iter_mut().zip(first).zip(second) {
            *byte = e2m1::nearest_code(low, scale) | e2m1::nearest_code(high, scale) << 4;
        }
    }
    block
}

/// The nearest unsigned float of four exponent and three fraction bits; halves go up.
///
/// Above 240 there is only 448: the reference takes the largest for all of the top exponent.
fn ue4m3(value: f32) -> u8 {
    const LARGEST: u8 = 0x7E;
    const TOP_EXPONENT: u32 = 15 << 3;
    // The smallest with an exponent of its own.
    const NORMAL: f32 = 1.0 / 64.0;
    if value.is_nan() || value <= 0.0 {
        0
    } else if value >= 256.0 {
        LARGEST
    } else if value < NORMAL {
        // Steps of 2^-9; what rounds up to the eighth stays at the seventh.
        ((value * 512.0 + 0.5) as u8).min(7)
    } else {
        // Half a step of the fraction, which carries into the exponent by itself.
        let steps = ((value.to_bits() + (1 << 19)) >> 20) - ((127 - 7) << 3);
        if steps < TOP_EXPONENT { steps as u8 } else { LARGEST }
    }
}
