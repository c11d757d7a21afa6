//! How the lattice types are read sixteen bytes at a time: IQ1, IQ2 and IQ3. Points and their signs are numbers of eight
//! bytes, in general registers.

use ascua_quant::tables::{EVEN_SIGNS, IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID};

use super::super_blocks::{Correction, Header, ScaleOf, SuperBlock};
use crate::matmul::bytes16::{Bytes16, Stored};
use crate::matmul::integers::{IQ1_RAISED, IQ1_SHIFTS, half_to_f32, iq1_m_half, joined_points, signed_point};

pub(super) struct Iq1S;
pub(super) struct Iq1M;
pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

// SAFETY of every block below: the frame passes a pointer to a whole block and parts below 8, and runs on a machine
// with the level.

impl SuperBlock for Iq1S {
    const BYTES: usize = 50;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::Raised;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        let (mut scales, mut minimums) = ([0; 16], [0; 16]);
        for part in 0..8 {
            // SAFETY: as above.
            scales[part] = odd(usize::from(unsafe { word_at(block, 34 + 2 * part) }) >> 12 & 7);
            minimums[2 * part] = IQ1_ZERO * scales[part];
            minimums[2 * part + 1] = minimums[2 * part];
        }
        // SAFETY: as above.
        Header { scales, minimums, factors: [unsafe { V::half(block) } * 0.125, 0.0] }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let word = usize::from(word_at(block, 34 + 2 * part));
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let index = usize::from(*block.add(2 + 4 * part + i)) | (word >> (3 * i) & 7) << 8;
                *point = iq1_eighths(index, word >> 15);
            }
            bytes_of::<V>(points)
        }
    }
}

impl SuperBlock for Iq1M {
    const BYTES: usize = 56;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of16;
    const CORRECTION: Correction = Correction::Raised;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        let words = unsafe { u64::from_le(block.add(48).cast::<u64>().read_unaligned()) };
        let mut scales = [0; 16];
        for (group, scale) in scales.iter_mut().enumerate() {
            *scale = odd((words >> (16 * (group / 4) + 3 * (group % 4)) & 7) as usize);
        }
        let factors = [half_to_f32(iq1_m_half(words)) * 0.125, 0.0];
        Header { scales, minimums: scales.map(|scale| IQ1_ZERO * scale), factors }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let nibbles = usize::from(word_at(block, 32 + 2 * part));
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let nibble = nibbles >> (4 * i);
                let index = usize::from(*block.add(4 * part + i)) | (nibble & 7) << 8;
                *point = iq1_eighths(index, nibble >> 3 & 1);
            }
            bytes_of::<V>(points)
        }
    }
}

impl SuperBlock for Iq2Xxs {
    const BYTES: usize = 66;
    const STORED: Stored = Stored::Signed;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { header::<V>(block, above_signs(block.add(6), 8), 0.125) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let signs = long_at(block, 6 + 8 * part);
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let magnitudes = IQ2_XXS_GRID[usize::from(*block.add(2 + 8 * part + i))];
                *point = signed_point(magnitudes, EVEN_SIGNS[signs >> (7 * i) & 127]);
            }
            bytes_of::<V>(points)
        }
    }
}

impl SuperBlock for Iq2Xs {
    const BYTES: usize = 74;
    const STORED: Stored = Stored::Signed;
    const SCALES: ScaleOf = ScaleOf::Of16;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { header::<V>(block, odd_nibbles(block.add(66)), 0.125) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let word = usize::from(word_at(block, 2 + 8 * part + 2 * i));
                *point = signed_point(IQ2_XS_GRID[word & 511], EVEN_SIGNS[word >> 9]);
            }
            bytes_of::<V>(points)
        }
    }
}

impl SuperBlock for Iq2S {
    const BYTES: usize = 82;
    const STORED: Stored = Stored::Signed;
    const SCALES: ScaleOf = ScaleOf::Of16;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { header::<V>(block, odd_nibbles(block.add(74)), 0.125) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let upper = usize::from(*block.add(66 + part));
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let index = usize::from(*block.add(2 + 4 * part + i)) | (upper >> (2 * i) & 3) << 8;
                *point = signed_point(IQ2_S_GRID[index], *block.add(34 + 4 * part + i));
            }
            bytes_of::<V>(points)
        }
    }
}

impl SuperBlock for Iq3Xxs {
    const BYTES: usize = 98;
    const STORED: Stored = Stored::Signed;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { header::<V>(block, above_signs(block.add(66), 4), 0.25) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let signs = long_at(block, 66 + 4 * part);
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let pair = block.add(2 + 8 * part + 2 * i);
                let (first, second) = (usize::from(*pair), usize::from(*pair.add(1)));
                let magnitudes = joined_points(IQ3_XXS_GRID[first], IQ3_XXS_GRID[second]);
                *point = signed_point(magnitudes, EVEN_SIGNS[signs >> (7 * i) & 127]);
            }
            bytes_of::<V>(points)
        }
    }
}

impl SuperBlock for Iq3S {
    const BYTES: usize = 110;
    const STORED: Stored = Stored::Signed;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let nibbles = long_at(block, 106);
            let mut scales = [0; 16];
            for (part, scale) in scales[..8].iter_mut().enumerate() {
                *scale = odd(nibbles >> (4 * part) & 15);
            }
            header::<V>(block, scales, 1.0)
        }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let ninth = usize::from(*block.add(66 + part));
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                let pair = block.add(2 + 8 * part + 2 * i);
                let first = usize::from(*pair) | (ninth >> (2 * i) & 1) << 8;
                let second = usize::from(*pair.add(1)) | (ninth >> (2 * i + 1) & 1) << 8;
                let magnitudes = joined_points(IQ3_S_GRID[first], IQ3_S_GRID[second]);
                *point = signed_point(magnitudes, *block.add(74 + 4 * part + i));
            }
            bytes_of::<V>(points)
        }
    }
}

/// The value that stands for zero in what [`iq1_eighths`] gives.
const IQ1_ZERO: i16 = 9;

/// A point of IQ1 in eighths, an eighth up, or down where `down` is 1; raised by nine.
#[inline(always)]
fn iq1_eighths(index: usize, down: usize) -> u64 {
    (IQ1_RAISED[index] << 3) + IQ1_SHIFTS[down]
}

/// The header of a block that begins with its scale, to be multiplied by `unit`.
#[inline(always)]
unsafe fn header<V: Bytes16>(block: *const u8, scales: [i16; 16], unit: f32) -> Header {
    // SAFETY: the caller's block begins with a half.
    Header { scales, minimums: [0; 16], factors: [unsafe { V::half(block) } * unit, 0.0] }
}

/// Twice a number, plus one, as a scale.
#[inline(always)]
fn odd(number: usize) -> i16 {
    2 * number as i16 + 1
}

/// The same of sixteen nibbles.
#[inline(always)]
unsafe fn odd_nibbles(bytes: *const u8) -> [i16; 16] {
    // SAFETY: the caller has the eight bytes.
    let nibbles = unsafe { u64::from_le(bytes.cast::<u64>().read_unaligned()) };
    let mut scales = [0; 16];
    for (group, scale) in scales.iter_mut().enumerate() {
        *scale = odd((nibbles >> (4 * group) & 15) as usize);
    }
    scales
}

/// The same of the top four bits of each part's 32, of which the others are signs; parts begin `step` bytes apart.
#[inline(always)]
unsafe fn above_signs(bytes: *const u8, step: usize) -> [i16; 16] {
    let mut scales = [0; 16];
    for (part, scale) in scales[..8].iter_mut().enumerate() {
        // SAFETY: the caller has the parts.
        *scale = odd(unsafe { long_at(bytes, step * part) } >> 28);
    }
    scales
}

/// Four points of eight values.
#[inline(always)]
unsafe fn bytes_of<V: Bytes16>(points: [u64; 4]) -> [V::Bytes; 2] {
    // SAFETY: the machine has the level.
    unsafe { [V::of_numbers(points[0], points[1]), V::of_numbers(points[2], points[3])] }
}

#[inline(always)]
unsafe fn word_at(block: *const u8, at: usize) -> u16 {
    // SAFETY: the caller's block has the bytes.
    unsafe { u16::from_le(block.add(at).cast::<u16>().read_unaligned()) }
}

#[inline(always)]
unsafe fn long_at(block: *const u8, at: usize) -> usize {
    // SAFETY: the caller's block has the bytes.
    unsafe { u32::from_le(block.add(at).cast::<u32>().read_unaligned()) as usize }
}
