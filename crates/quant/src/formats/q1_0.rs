//! Q1_0: the signs of 128 elements and one scale.
//!
//! `x = d` where the bit is set, else `-d`; 1.125 bits per weight. Lowest bit first.

use crate::block_format::{BlockFormat, Encode};
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::groups;
use crate::little_endian::LeF16;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q1_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q1_0;

/// A block of 128 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ10 {
    /// Scale.
    pub d: LeF16,
    /// One bit per element.
    pub qs: [u8; 16],
}

impl BlockQ10 {
    /// The signs, in order of element: -1 or 1.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 128] {
        std::array::from_fn(|element| ((self.qs[element / 8] >> (element % 8) & 1) << 1) as i8 - 1)
    }
}

impl BlockFormat for Q1_0 {
    const TYPE: TensorType = TensorType::Q1_0;
    type Block = BlockQ10;
    type Values = [f32; 128];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 4];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockQ10, out: &mut [f32; 128]) {
        groups::decode_scaled::<128>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockQ10, facing: &[BlockQ80; 4]) -> f32 {
        let quants = block.quants();
        let parts = quants.as_chunks::<32>().0.iter().zip(facing);
        block.d.to_f32()
            * parts.map(|(quants, facing)| facing.d.to_f32() * groups::dot(quants, &facing.qs) as f32).sum::<f32>()
    }
}

/// The scale is the mean magnitude; zero of either sign counts as positive.
fn encode(values: &[f32; 128]) -> BlockQ10 {
    let mut sum = 0.0;
    for value in values {
        sum += value.abs();
    }
    let mut qs = [0; 16];
    for (byte, values) in qs.iter_mut().zip(values.as_chunks::<8>().0) {
        *byte = values.iter().enumerate().fold(0, |bits, (i, &value)| bits | u8::from(value >= 0.0) << i);
    }
    BlockQ10 { d: LeF16::from_f32(sum / 128.0), qs }
}
