//! TQ1_0: 256 values of -1, 0 or 1 and one scale; five per byte (3^5 = 243 fits in 256).
//!
//! `x = d * q`, 1.6875 bits per weight (BitNet b1.58, TriLM). A byte is the five-digit ternary fraction scaled to 256: a
//! multiplication by 3 carries the next digit out at the top. 32 bytes hold 5 runs of 32, 16 bytes 5 runs of 16, and the
//! four bytes of `qh` 4 runs of 4.

use crate::block_format::{BlockFormat, Encode};
use crate::extremes;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use crate::rounding;
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

    const ENCODE: Option<Encode<Self>> = Some(|row, out| row.each_block(out, encode));

    fn decode_block(block: &BlockTQ10, out: &mut [f32; 256]) {
        groups::decode_scaled::<256>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockTQ10, [facing]: &[BlockQ8K; 1]) -> f32 {
        block.d.to_f32() * facing.d.get() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}

fn encode(values: &[f32; 256]) -> BlockTQ10 {
    let d = extremes::largest_magnitude(values);
    let inverse = extremes::inverse(d);
    // 0, 1 or 2. A value that is no number becomes 1: the low byte of its conversion is zero.
    let digits = values.map(|value| (rounding::round_half_away(value * inverse) as u8).wrapping_add(1));
    let (first, rest) = digits.split_at(160);
    let (second, last) = rest.split_at(80);
    let mut qs = [0; 48];
    let (long, short) = qs.split_at_mut(32);
    pack_digits(first, long);
    pack_digits(second, short);
    let mut qh = [0; 4];
    pack_digits(last, &mut qh);
    BlockTQ10 { qs, qh, d: LeF16::from_f32(d) }
}

/// The inverse of [`unpack_digits`]; digits missing at the end are zero.
#[inline(always)]
fn pack_digits(digits: &[u8], out: &mut [u8]) {
    let stride = out.len();
    for (i, out) in out.iter_mut().enumerate() {
        let number = (0..5).fold(0u8, |number, place| {
            let digit = digits.get(place * stride + i).copied().unwrap_or(0);
            number.wrapping_mul(3).wrapping_add(digit)
        });
        // As a fraction of 243 scaled to 256, rounded up so that its digits come out again.
        *out = (u16::from(number) * 256).wrapping_add(242).div_euclid(243) as u8;
    }
}
