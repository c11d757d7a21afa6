//! Blocks of few levels and one scale: TQ1_0, TQ2_0, Q1_0, Q2_0; and NVFP4's small groups.

use super::tables::MXFP4_VALUES;
use super::{IntegerBlock, Offsets, half_at};

pub(super) struct Tq1_0;
pub(super) struct Tq2_0;
pub(super) struct Q1_0;
pub(super) struct Q2_0;
pub(super) struct Nvfp4;

impl IntegerBlock for Tq1_0 {
    const LEN: usize = 256;
    const BYTES: usize = 54;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-1, 1);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[..8].fill(half_at(block, 52));
        let (first, rest) = values[..256].split_at_mut(160);
        let (second, last) = rest.split_at_mut(80);
        ternary_digits::<32>(&block[..32], first);
        ternary_digits::<16>(&block[32..48], second);
        ternary_digits::<4>(&block[48..52], last);
    }
}

impl IntegerBlock for Tq2_0 {
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-1, 2);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[..8].fill(half_at(block, 64));
        for (bytes, values) in block[..64].chunks_exact(32).zip(values.chunks_exact_mut(128)) {
            for shift in 0..4 {
                for (value, byte) in values[shift * 32..][..32].iter_mut().zip(bytes) {
                    *value = ((byte >> (2 * shift)) & 3) as i8 - 1;
                }
            }
        }
    }
}

impl IntegerBlock for Q1_0 {
    const LEN: usize = 128;
    const BYTES: usize = 18;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-1, 1);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[..4].fill(half_at(block, 0));
        for (byte, values) in block[2..18].iter().zip(values.as_chunks_mut::<8>().0) {
            for (i, value) in values.iter_mut().enumerate() {
                *value = ((byte >> i & 1) << 1) as i8 - 1;
            }
        }
    }
}

impl IntegerBlock for Q2_0 {
    const LEN: usize = 64;
    const BYTES: usize = 18;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-1, 2);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[..2].fill(half_at(block, 0));
        for (byte, values) in block[2..18].iter().zip(values.as_chunks_mut::<4>().0) {
            for (i, value) in values.iter_mut().enumerate() {
                *value = (byte >> (2 * i) & 3) as i8 - 1;
            }
        }
    }
}

impl IntegerBlock for Nvfp4 {
    const LEN: usize = 64;
    const BYTES: usize = 36;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-12, 12);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        for group in 0..4 {
            scales[group] = half_of_ue4m3(block[group]);
            let (low, high) = values[16 * group..16 * group + 16].split_at_mut(8);
            for (i, byte) in block[4 + 8 * group..][..8].iter().enumerate() {
                low[i] = MXFP4_VALUES[usize::from(byte & 15)];
                high[i] = MXFP4_VALUES[usize::from(byte >> 4)];
            }
        }
    }

    #[inline(always)]
    unsafe fn decode_shuffled(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        for group in 0..4 {
            scales[group] = half_of_ue4m3(block[group]);
            let bytes = &block[4 + 8 * group..12 + 8 * group];
            // SAFETY: the caller's machine has byte shuffles.
            unsafe { super::lookup::nibbles::<8>(&MXFP4_VALUES, bytes, &mut values[16 * group..16 * group + 16]) };
        }
    }
}

/// Half of an unsigned 8-bit float: four exponent bits with bias 7, three of fraction; 0x7f counts as zero.
#[inline(always)]
pub(crate) fn half_of_ue4m3(bits: u8) -> f32 {
    let (exponent, fraction) = (u32::from(bits >> 3 & 15), u32::from(bits & 7));
    match (bits, exponent) {
        (0x7f, _) => 0.0,
        (_, 0) => fraction as f32 * (1.0 / 1024.0),
        _ => f32::from_bits((exponent + 127 - 7 - 1) << 23 | fraction << 20),
    }
}

/// Digits of base 3, less one: the first of all bytes, then the second of all, to the end of `values`.
#[inline(always)]
fn ternary_digits<const N: usize>(bytes: &[u8], values: &mut [i8]) {
    // A byte is a fraction of 256; multiplying by 3 carries the next digit out at the top.
    let mut power = 1u8;
    for values in values.as_chunks_mut::<N>().0 {
        for (value, byte) in values.iter_mut().zip(&bytes[..N]) {
            *value = ((u16::from(byte.wrapping_mul(power)) * 3) >> 8) as i8 - 1;
        }
        power = power.wrapping_mul(3);
    }
}
