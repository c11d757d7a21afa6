//! Q8_K: 256 signed 8-bit integers, one 32-bit scale and the sum of every 16.
//!
//! `x = d * q`. The activation format of all super-block weights; `bsums` serves those with minimums.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::groups;
use crate::little_endian::{LeF32, LeI16};
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q8_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q8_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ8K {
    /// Scale.
    pub d: LeF32,
    /// Integers.
    pub qs: [i8; 256],
    /// Sums of 16 integers each; decoding does not need them.
    pub bsums: [LeI16; 16],
}

impl BlockFormat for Q8_K {
    const TYPE: TensorType = TensorType::Q8_K;
    type Block = BlockQ8K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockQ8K, out: &mut [f32; 256]) {
        groups::decode_scaled::<256>(&block.qs, &[block.d.get()], out);
    }

    fn dot_block(block: &BlockQ8K, [facing]: &[BlockQ8K; 1]) -> f32 {
        block.d.get() * facing.d.get() * groups::dot(&block.qs, &facing.qs) as f32
    }
}

/// The value farthest from zero becomes -127, whatever its sign: the scale takes the opposite one.
fn encode(values: &[f32; 256]) -> BlockQ8K {
    let farthest = extremes::farthest_from_zero(values);
    if farthest == 0.0 {
        return BlockQ8K::zeroed();
    }
    let inverse = -127.0 / farthest;
    let qs = values.map(|value| rounding::round_half_even(inverse * value).min(127) as i8);
    let mut bsums = [LeI16::default(); 16];
    for (sum, quants) in bsums.iter_mut().zip(qs.as_chunks::<16>().0) {
        *sum = LeI16::new(quants.iter().map(|&quant| i16::from(quant)).sum());
    }
    BlockQ8K { d: LeF32::new(1.0 / inverse), qs, bsums }
}
