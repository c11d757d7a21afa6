//! The 32-element blocks: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, IQ4_NL and MXFP4; and Q8_K, which is as plain.

use super::lookup;
use super::tables::{IQ4_VALUES, MXFP4_VALUES};
use super::{IntegerBlock, Offsets, half_at};

pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;
pub(super) struct Q8_1;
pub(super) struct Q8K;
pub(super) struct Iq4Nl;
pub(super) struct Mxfp4;

impl IntegerBlock for Q4_0 {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-8, 7);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        nibbles(&block[2..18], values, |nibble, _| nibble as i8 - 8);
    }
}

impl IntegerBlock for Q4_1 {
    const LEN: usize = 32;
    const BYTES: usize = 20;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::PerGroup;
    const RANGE: (i8, i8) = (0, 15);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        offsets[0] = half_at(block, 2);
        nibbles(&block[4..20], values, |nibble, _| nibble as i8);
    }
}

impl IntegerBlock for Q5_0 {
    const LEN: usize = 32;
    const BYTES: usize = 22;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-16, 15);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
        nibbles(&block[6..22], values, |nibble, i| (nibble | fifth_bit(high, i)) as i8 - 16);
    }
}

impl IntegerBlock for Q5_1 {
    const LEN: usize = 32;
    const BYTES: usize = 24;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::PerGroup;
    const RANGE: (i8, i8) = (0, 31);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        offsets[0] = half_at(block, 2);
        let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
        nibbles(&block[8..24], values, |nibble, i| (nibble | fifth_bit(high, i)) as i8);
    }
}

impl IntegerBlock for Q8_0 {
    const LEN: usize = 32;
    const BYTES: usize = 34;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (i8::MIN, i8::MAX);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        for (value, byte) in values[..32].iter_mut().zip(&block[2..34]) {
            *value = *byte as i8;
        }
    }
}

impl IntegerBlock for Q8_1 {
    const LEN: usize = 32;
    const BYTES: usize = 36;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (i8::MIN, i8::MAX);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        for (value, byte) in values[..32].iter_mut().zip(&block[4..36]) {
            *value = *byte as i8;
        }
    }
}

impl IntegerBlock for Q8K {
    const LEN: usize = 256;
    const BYTES: usize = 292;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (i8::MIN, i8::MAX);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[..8].fill(f32::from_le_bytes([block[0], block[1], block[2], block[3]]));
        for (value, byte) in values[..256].iter_mut().zip(&block[4..260]) {
            *value = *byte as i8;
        }
    }
}

impl IntegerBlock for Iq4Nl {
    const LEN: usize = 32;
    const BYTES: usize = 18;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-127, 113);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        nibbles(&block[2..18], values, |nibble, _| IQ4_VALUES[usize::from(nibble)]);
    }

    #[inline(always)]
    unsafe fn decode_shuffled(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = half_at(block, 0);
        // SAFETY: the caller's machine has byte shuffles.
        unsafe { lookup::nibbles::<16>(&IQ4_VALUES, &block[2..18], values) }
    }
}

impl IntegerBlock for Mxfp4 {
    const LEN: usize = 32;
    const BYTES: usize = 17;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-12, 12);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = halved_power_of_two(block[0]);
        nibbles(&block[1..17], values, |nibble, _| MXFP4_VALUES[usize::from(nibble)]);
    }

    #[inline(always)]
    unsafe fn decode_shuffled(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[0] = halved_power_of_two(block[0]);
        // SAFETY: the caller's machine has byte shuffles.
        unsafe { lookup::nibbles::<16>(&MXFP4_VALUES, &block[1..17], values) }
    }
}

/// Half the value of an E8M0 exponent: `2^(exponent - 128)`.
#[inline(always)]
pub(crate) fn halved_power_of_two(exponent: u8) -> f32 {
    static POWERS: [f32; 256] = {
        let mut powers = [0.0; 256];
        let mut exponent = 0;
        while exponent < 256 {
            let bits = if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 };
            powers[exponent as usize] = f32::from_bits(bits);
            exponent += 1;
        }
        powers
    };
    POWERS[usize::from(exponent)]
}

/// Low nibbles are the first 16 elements, high nibbles the last 16.
#[inline(always)]
fn nibbles(bytes: &[u8], values: &mut [i8], value: impl Fn(u8, u32) -> i8) {
    let (low, high) = values[..32].split_at_mut(16);
    for (i, byte) in bytes[..16].iter().enumerate() {
        low[i] = value(byte & 15, i as u32);
        high[i] = value(byte >> 4, i as u32 + 16);
    }
}

#[inline(always)]
fn fifth_bit(high: u32, element: u32) -> u8 {
    (((high >> element) & 1) << 4) as u8
}
