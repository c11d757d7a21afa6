//! TQ1_0: 256 values of -1, 0 or 1 and one scale; five per byte (3^5 = 243 fits in 256).
//!
//! `x = d * q`, 1.6875 bits per weight (BitNet b1.58, TriLM). A byte is the five-digit ternary fraction scaled to 256: a
//! multiplication by 3 carries the next digit out at the top. 32 bytes hold 5 runs of 32, 16 bytes 5 runs of 16, and the
//! four bytes of `qh` 4 runs of 4.

use crate::block_format::BlockFormat;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The TQ1_0 format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct TQ1_0;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockTQ10 {
    /// Five digits per byte.
    pub qs: [u8; 48],
    /// Four digits per byte.
    pub qh: [u8; 4],
    /// Scale.
    pub d: LeF16,
}

impl BlockTQ10 {
    /// The values, in order of element: -1 to 1.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut quants = [0; 256];
        let (first, rest) = quants.split_at_mut(160);
        let (second, last) = rest.split_at_mut(80);
        let (long, short) = self.qs.split_at(32);
        unpack_digits(long, first);
        unpack_digits(short, second);
        unpack_digits(&self.qh, last);
        quants
    }
}

/// Writes the first digit of every byte, then the second of every byte, and so on until `out` is full.
#[inline(always)]
fn unpack_digits(packed: &[u8], out: &mut [i8]) {
    let mut power = 1u8;
    for run in out.chunks_exact_mut(packed.len()) {
        for (out, byte) in run.iter_mut().zip(packed) {
            let fraction = byte.wrapping_mul(power);
            *out = ((u16::from(fraction) * 3) >> 8) as i8 - 1;
        }
        power = power.wrapping_mul(3);
    }
}

impl BlockFormat for TQ1_0 {
    const TYPE: TensorType = TensorType::TQ1_0;
    type Block = BlockTQ10;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    fn decode_block(block: &BlockTQ10, out: &mut [f32; 256]) {
        groups::decode_scaled::<256>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockTQ10, [facing]: &[BlockQ8K; 1]) -> f32 {
        block.d.to_f32() * facing.d.get() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}
