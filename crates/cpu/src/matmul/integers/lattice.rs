//! The lattice types: IQ1, IQ2 and IQ3. Eight values at a time, as bytes of a 64-bit word.

use ascua_quant::tables::{EVEN_SIGNS, IQ1_GRID, IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID};

use super::{IntegerBlock, Offsets, half_at, half_to_f32};

pub(super) struct Iq1S;
pub(super) struct Iq1M;
pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

impl IntegerBlock for Iq1S {
    const LEN: usize = 256;
    const BYTES: usize = 50;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-9, 9);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        let eighth = half_at(block, 0) * 0.125;
        for group in 0..8 {
            let word = usize::from(word_at(block, 34 + 2 * group));
            scales[group] = eighth * (2 * (word >> 12 & 7) + 1) as f32;
            for part in 0..4 {
                let index = usize::from(block[2 + 4 * group + part]) | (word >> (3 * part) & 7) << 8;
                write(values, 4 * group + part, shifted(IQ1_GRID[index], word >> 15));
            }
        }
    }
}

impl IntegerBlock for Iq1M {
    const LEN: usize = 256;
    const BYTES: usize = 56;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-9, 9);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        let words: [u16; 4] = std::array::from_fn(|i| word_at(block, 48 + 2 * i));
        let half = words[0] >> 12 | (words[1] >> 12) << 4 | (words[2] >> 12) << 8 | (words[3] >> 12) << 12;
        let eighth = half_to_f32(half) * 0.125;
        for group in 0..16 {
            scales[group] = eighth * f32::from(2 * (words[group / 4] >> (3 * (group % 4)) & 7) + 1);
        }
        for point in 0..32 {
            let nibble = usize::from(block[32 + point / 2] >> (4 * (point % 2)) & 15);
            let index = usize::from(block[point]) | (nibble & 7) << 8;
            write(values, point, shifted(IQ1_GRID[index], nibble >> 3));
        }
    }
}

impl IntegerBlock for Iq2Xxs {
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-43, 43);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        let scale = half_at(block, 0);
        for (group, bytes) in block[2..66].as_chunks::<8>().0.iter().enumerate() {
            let word = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            scales[group] = scale * (0.5 + (word >> 28) as f32) * 0.25;
            for part in 0..4 {
                let signs = EVEN_SIGNS[(word >> (7 * part) & 127) as usize];
                write(values, 4 * group + part, signed_point(IQ2_XXS_GRID[usize::from(bytes[part])], signs));
            }
        }
    }
}

impl IntegerBlock for Iq2Xs {
    const LEN: usize = 256;
    const BYTES: usize = 74;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-43, 43);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        nibble_scales(half_at(block, 0), &block[66..74], scales);
        for point in 0..32 {
            let word = usize::from(word_at(block, 2 + 2 * point));
            write(values, point, signed_point(IQ2_XS_GRID[word & 511], EVEN_SIGNS[word >> 9]));
        }
    }
}

impl IntegerBlock for Iq2S {
    const LEN: usize = 256;
    const BYTES: usize = 82;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-43, 43);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        nibble_scales(half_at(block, 0), &block[74..82], scales);
        for point in 0..32 {
            let upper = usize::from(block[66 + point / 4] >> (2 * (point % 4)) & 3);
            let index = usize::from(block[2 + point]) | upper << 8;
            write(values, point, signed_point(IQ2_S_GRID[index], block[34 + point]));
        }
    }
}

impl IntegerBlock for Iq3Xxs {
    const LEN: usize = 256;
    const BYTES: usize = 98;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-62, 62);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        let scale = half_at(block, 0);
        for (group, bytes) in block[66..98].as_chunks::<4>().0.iter().enumerate() {
            let word = u32::from_le_bytes(*bytes);
            scales[group] = scale * (0.5 + (word >> 28) as f32) * 0.5;
            for part in 0..4 {
                let signs = EVEN_SIGNS[(word >> (7 * part) & 127) as usize];
                let pair = &block[2 + 8 * group + 2 * part..][..2];
                let point = joined_points(IQ3_XXS_GRID[usize::from(pair[0])], IQ3_XXS_GRID[usize::from(pair[1])]);
                write(values, 4 * group + part, signed_point(point, signs));
            }
        }
    }
}

impl IntegerBlock for Iq3S {
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-15, 15);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        let scale = half_at(block, 0);
        for group in 0..8 {
            let four = block[106 + group / 2] >> (4 * (group % 2)) & 15;
            scales[group] = scale * f32::from(2 * four + 1);
            let ninth = usize::from(block[66 + group]);
            for part in 0..4 {
                let index = |i: usize| usize::from(block[2 + 8 * group + i]) | (ninth >> i & 1) << 8;
                let point = joined_points(IQ3_S_GRID[index(2 * part)], IQ3_S_GRID[index(2 * part + 1)]);
                write(values, 4 * group + part, signed_point(point, block[74 + 4 * group + part]));
            }
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight magnitudes of 1 to 127, negative where a bit of `signs` is set.
#[inline(always)]
pub(crate) fn signed_point(point: u64, signs: u8) -> u64 {
    let mask = SIGN_BYTES[usize::from(signs)];
    // Complement and add one: the complement of at least 1 leaves room for the one within its byte.
    (point ^ mask) + (mask & ONES)
}

/// A byte of ones for every bit.
static SIGN_BYTES: [u64; 256] = {
    let mut table = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut i = 0;
        while i < 8 {
            table[bits] |= (0xff * (bits as u64 >> i & 1)) << (8 * i);
            i += 1;
        }
        bits += 1;
    }
    table
};

/// The points of IQ1, raised by 1.
pub(crate) static IQ1_RAISED: [u64; 2048] = {
    let mut raised = [0; 2048];
    let mut point = 0;
    while point < 2048 {
        let mut i = 0;
        while i < 64 {
            raised[point] |= (((IQ1_GRID[point] >> i) as u8).wrapping_add(1) as u64) << i;
            i += 8;
        }
        point += 1;
    }
    raised
};

/// An eighth up and an eighth down, both raised by an eighth, for eight values in eighths.
pub(crate) const IQ1_SHIFTS: [u64; 2] = [2 * ONES, 0];

/// The half-precision scale of an IQ1_M block: the top four bits of each of its last four words.
#[inline(always)]
pub(crate) fn iq1_m_half(words: u64) -> u16 {
    (words >> 12 & 0xf | words >> 24 & 0xf0 | words >> 36 & 0xf00 | words >> 48 & 0xf000) as u16
}

/// Eight values of -1, 0 and 1 in eighths, moved up by one eighth, or down where `down` is 1.
#[inline(always)]
fn shifted(point: u64, down: usize) -> u64 {
    let eight = (point << 3) & (0xf8 * ONES);
    let shift = if down == 0 { ONES } else { 0xff * ONES };
    // Byte by byte: the top bits are added without their carry.
    ((eight & (0x7f * ONES)) + (shift & (0x7f * ONES))) ^ ((eight ^ shift) & (0x80 * ONES))
}

/// Two points of four values.
#[inline(always)]
pub(crate) fn joined_points(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

#[inline(always)]
fn write(values: &mut [i8], point: usize, bytes: u64) {
    for (value, byte) in values[8 * point..8 * point + 8].iter_mut().zip(bytes.to_le_bytes()) {
        *value = byte as i8;
    }
}

/// Two 4-bit scales a byte, for groups of 16.
#[inline(always)]
fn nibble_scales(scale: f32, bytes: &[u8], scales: &mut [f32]) {
    for (group, scales) in scales[..16].iter_mut().enumerate() {
        *scales = scale * (0.5 + f32::from(bytes[group / 2] >> (4 * (group % 2)) & 15)) * 0.25;
    }
}

#[inline(always)]
fn word_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}
