//! How the lattice types are read with AVX2: IQ1, IQ2 and IQ3. Points are loaded by eights or fours, signs are bits.

use std::arch::x86_64::*;

use ascua_quant::tables::{IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID};

use super::super::Signs;
use super::k_quants::even_then_odd;
use super::super_blocks::{Correction, Header, SuperBlock};
use super::{Stored, halves};
use crate::matmul::integers::{IQ1_RAISED, IQ1_SHIFTS, iq1_m_half};

pub(super) struct Iq1S;
pub(super) struct Iq1M;
pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

// SAFETY of every block below: the frame passes a pointer to a whole block and parts below 8, and runs with AVX2.

impl SuperBlock for Iq1S {
    const BYTES: usize = 50;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let words = _mm_loadu_si128(block.add(34).cast());
            let odd = odd(_mm_and_si128(_mm_srli_epi16::<12>(words), _mm_set1_epi16(7)));
            let scales = _mm256_broadcastsi128_si256(_mm_slli_epi16::<3>(odd));
            // Values are an eighth higher than the points, or lower where the top bit is set; the points are raised by 1.
            let down = _mm_srai_epi16::<15>(words);
            let below = _mm_mullo_epi16(odd, _mm_sub_epi16(_mm_set1_epi16(7), _mm_add_epi16(down, down)));
            let of_sums = _mm256_set_m128i(_mm_unpackhi_epi16(below, below), _mm_unpacklo_epi16(below, below));
            Header { of_sums, ..header(scales, block, 0.125) }
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let word = usize::from(u16_at(block, 34 + 2 * part));
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                *point = IQ1_RAISED[usize::from(*block.add(2 + 4 * part + i)) | (word >> (3 * i) & 7) << 8];
            }
            eights(points)
        }
    }
}

impl SuperBlock for Iq1M {
    const BYTES: usize = 56;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let words = block.add(48).cast::<u64>().read_unaligned();
            // Four times three bits of each word, brought to its top: first those of even groups, then of odd ones.
            let twice = _mm_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
            let twice = _mm256_broadcastsi128_si256(_mm_shuffle_epi8(_mm_cvtsi64_si128(words as i64), twice));
            let (even, odds) = (_mm_set1_epi32(1 << 23 | 1 << 13), _mm_set1_epi32(1 << 20 | 1 << 10));
            let threes = _mm256_srli_epi16::<13>(_mm256_mullo_epi16(twice, _mm256_set_m128i(odds, even)));
            let scales = _mm256_add_epi16(_mm256_add_epi16(threes, threes), _mm256_set1_epi16(1));
            let factors = _mm_mul_ps(halves(iq1_m_half(words).into()), _mm_set1_ps(0.125));
            // Values are raised by nine eighths.
            let nine = _mm256_add_epi16(_mm256_slli_epi16::<3>(scales), scales);
            let (even, odds) = (_mm256_castsi256_si128(nine), _mm256_extracti128_si256::<1>(nine));
            let of_sums = _mm256_set_m128i(_mm_unpackhi_epi16(even, odds), _mm_unpacklo_epi16(even, odds));
            Header { scales, of_sums, factors }
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let nibbles = usize::from(u16_at(block, 32 + 2 * part));
            let (mut points, mut shifts) = ([0; 4], [0; 4]);
            for i in 0..4 {
                let nibble = nibbles >> (4 * i);
                points[i] = IQ1_RAISED[usize::from(*block.add(4 * part + i)) | (nibble & 7) << 8];
                shifts[i] = IQ1_SHIFTS[nibble >> 3 & 1];
            }
            _mm256_add_epi8(_mm256_slli_epi64::<3>(eights(points)), eights(shifts))
        }
    }
}

impl SuperBlock for Iq2Xxs {
    const BYTES: usize = 66;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::None;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm256_loadu_si256(block.add(2).cast()), _mm256_loadu_si256(block.add(34).cast()));
            // In 64-bit numbers; lanes alternate when two vectors are packed.
            let (low, high) = (_mm256_srli_epi64::<60>(low), _mm256_srli_epi64::<60>(high));
            let mixed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            // Every other one of the sixteen is a group's.
            let nibbles = _mm_packs_epi32(_mm256_castsi256_si128(mixed), _mm256_extracti128_si256::<1>(mixed));
            let scales = odd(nibbles);
            header(_mm256_broadcastsi128_si256(scales), block, 0.125)
        }
    }

    #[inline(always)]
    unsafe fn signs(block: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe {
            // Of each group's eight bytes, the last four.
            let (low, high) = (_mm256_loadu_si256(block.add(2).cast()), _mm256_loadu_si256(block.add(34).cast()));
            let words = _mm256_shuffle_ps::<0b11_01_11_01>(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high));
            even_signs(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(words)))
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                *point = IQ2_XXS_GRID[usize::from(*block.add(2 + 8 * part + i))];
            }
            eights(points)
        }
    }
}

impl SuperBlock for Iq2Xs {
    const BYTES: usize = 74;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::None;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { header(odd_nibbles(block.add(66)), block, 0.125) }
    }

    #[inline(always)]
    unsafe fn signs(block: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm256_loadu_si256(block.add(2).cast()), _mm256_loadu_si256(block.add(34).cast()));
            let sevens = _mm256_packus_epi16(_mm256_srli_epi16::<9>(low), _mm256_srli_epi16::<9>(high));
            with_parity(_mm256_permute4x64_epi64::<0b11_01_10_00>(sevens))
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            // Not word by word: those come to be loaded as a vector, and extracted from it.
            let words = block.add(2 + 8 * part).cast::<u64>().read_unaligned() as usize;
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                *point = IQ2_XS_GRID[words >> (16 * i) & 511];
            }
            eights(points)
        }
    }
}

impl SuperBlock for Iq2S {
    const BYTES: usize = 82;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::None;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { header(odd_nibbles(block.add(74)), block, 0.125) }
    }

    #[inline(always)]
    unsafe fn signs(block: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_loadu_si256(block.add(34).cast()) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let upper = usize::from(*block.add(66 + part));
            let mut points = [0; 4];
            for (i, point) in points.iter_mut().enumerate() {
                *point = IQ2_S_GRID[usize::from(*block.add(2 + 4 * part + i)) | (upper >> (2 * i) & 3) << 8];
            }
            eights(points)
        }
    }
}

impl SuperBlock for Iq3Xxs {
    const BYTES: usize = 98;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::None;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let words = _mm256_srli_epi32::<28>(_mm256_loadu_si256(block.add(66).cast()));
            let nibbles = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            header(_mm256_broadcastsi128_si256(odd(nibbles)), block, 0.25)
        }
    }

    #[inline(always)]
    unsafe fn signs(block: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { even_signs(_mm256_loadu_si256(block.add(66).cast())) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let mut points = [0; 8];
            for (i, point) in points.iter_mut().enumerate() {
                *point = IQ3_XXS_GRID[usize::from(*block.add(2 + 8 * part + i))];
            }
            fours(points)
        }
    }
}

impl SuperBlock for Iq3S {
    const BYTES: usize = 110;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::None;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let bytes = _mm_cvtsi32_si128(block.add(106).cast::<i32>().read_unaligned());
            let scales = odd(_mm_cvtepu8_epi16(in_nibbles(bytes)));
            header(_mm256_broadcastsi128_si256(scales), block, 1.0)
        }
    }

    #[inline(always)]
    unsafe fn signs(block: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_loadu_si256(block.add(74).cast()) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let ninth = usize::from(*block.add(66 + part));
            let mut points = [0; 8];
            for (i, point) in points.iter_mut().enumerate() {
                *point = IQ3_S_GRID[usize::from(*block.add(2 + 8 * part + i)) | (ninth >> i & 1) << 8];
            }
            fours(points)
        }
    }
}

#[inline(always)]
unsafe fn u16_at(block: *const u8, at: usize) -> u16 {
    // SAFETY: the caller's block has the bytes.
    unsafe { block.add(at).cast::<u16>().read_unaligned() }
}

/// The header of a block that begins with its scale, to be multiplied by `unit`.
#[inline(always)]
unsafe fn header(scales: __m256i, block: *const u8, unit: f32) -> Header {
    // SAFETY: the caller's block has the bytes.
    unsafe {
        let factors = _mm_mul_ps(halves(u32::from(u16_at(block, 0))), _mm_set1_ps(unit));
        Header { scales, of_sums: _mm256_setzero_si256(), factors }
    }
}

/// Four points of eight values.
#[inline(always)]
unsafe fn eights(points: [u64; 4]) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe { _mm256_setr_epi64x(points[0] as i64, points[1] as i64, points[2] as i64, points[3] as i64) }
}

/// Eight points of four values.
#[inline(always)]
unsafe fn fours(points: [u32; 8]) -> __m256i {
    let two = |i: usize| u64::from(points[2 * i]) | u64::from(points[2 * i + 1]) << 32;
    // SAFETY: AVX2 is the caller's.
    unsafe { eights([two(0), two(1), two(2), two(3)]) }
}

/// The signs of eight groups of four points, from seven bits each of the groups' words.
#[inline(always)]
unsafe fn even_signs(words: __m256i) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        let seven = |words: __m256i, mask: i32| _mm256_and_si256(words, _mm256_set1_epi32(mask));
        let first = seven(words, 0x7f);
        let second = seven(_mm256_slli_epi32::<1>(words), 0x7f00);
        let third = seven(_mm256_slli_epi32::<2>(words), 0x007f_0000);
        let last = seven(_mm256_slli_epi32::<3>(words), 0x7f00_0000);
        with_parity(_mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, last)))
    }
}

/// Sets the top bit of every byte so that its number of ones is even.
#[inline(always)]
unsafe fn with_parity(sevens: __m256i) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        let folded = _mm256_xor_si256(sevens, _mm256_srli_epi16::<4>(sevens));
        let top = -128;
        let odd = _mm_setr_epi8(0, top, top, 0, top, 0, 0, top, top, 0, 0, top, 0, top, top, 0);
        let nibbles = _mm256_and_si256(folded, _mm256_set1_epi8(15));
        _mm256_or_si256(sevens, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(odd), nibbles))
    }
}

/// Twice the words, plus one.
#[inline(always)]
unsafe fn odd(words: __m128i) -> __m128i {
    // SAFETY: AVX2 is the caller's.
    unsafe { _mm_add_epi16(_mm_add_epi16(words, words), _mm_set1_epi16(1)) }
}

/// The nibbles of the lower eight bytes, low ones first.
#[inline(always)]
pub(super) unsafe fn in_nibbles(bytes: __m128i) -> __m128i {
    // SAFETY: AVX2 is the caller's.
    unsafe { _mm_and_si128(_mm_unpacklo_epi8(bytes, _mm_srli_epi16::<4>(bytes)), _mm_set1_epi8(15)) }
}

/// Twice sixteen nibbles, plus one, as scales.
#[inline(always)]
unsafe fn odd_nibbles(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's block has the eight bytes.
    unsafe {
        let nibbles = in_nibbles(_mm_loadl_epi64(bytes.cast()));
        let odd = _mm_add_epi8(_mm_add_epi8(nibbles, nibbles), _mm_set1_epi8(1));
        _mm256_cvtepi8_epi16(even_then_odd(odd))
    }
}
