//! TQ2_0: 256 values of -1, 0 or 1 and one scale; four per byte.
//!
//! `x = d * (q - 1)`, 2.0625 bits per weight: more than TQ1_0, but quicker to unpack. Packed as Q2_K.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The TQ2_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct TQ2_0;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockTQ20 {
    /// Two bits per element, offset by 1.
    pub qs: [u8; 64],
    /// Scale.
    pub d: LeF16,
}

impl BlockTQ20 {
    /// The values, in order of element: -1 to 1, or 2 where a file uses the spare code.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        groups::split_pairs(&self.qs).map(|pair| pair - 1)
    }
}

impl BlockFormat for TQ2_0 {
    const TYPE: TensorType = TensorType::TQ2_0;
    type Block = BlockTQ20;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockTQ20, out: &mut [f32; 256]) {
        groups::decode_scaled::<256>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockTQ20, [facing]: &[BlockQ8K; 1]) -> f32 {
        block.d.to_f32() * facing.d.get() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}

fn encode(values: &[f32; 256]) -> BlockTQ20 {
    let d = extremes::largest_magnitude(values);
    let inverse = extremes::inverse(d);
    let code = |value: f32| (rounding::round_half_away(value * inverse) as u8).wrapping_add(1) & 3;
    let mut qs = [0; 64];
    for (packed, values) in qs.as_chunks_mut::<32>().0.iter_mut().zip(values.as_chunks::<128>().0) {
        for (i, byte) in packed.iter_mut().enumerate() {
            *byte = (0..4).fold(0, |bits, pair| bits | code(values[i + 32 * pair]) << (2 * pair));
        }
    }
    BlockTQ20 { qs, d: LeF16::from_f32(d) }
}
