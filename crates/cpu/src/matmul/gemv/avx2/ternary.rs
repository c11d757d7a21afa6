//! How the ternary super-blocks are read with AVX2: TQ1_0 and TQ2_0. Their 256 values have one scale.

use std::arch::x86_64::*;

use super::k_quants::bits;
use super::super_blocks::{Correction, Header, SuperBlock};
use super::{Stored, halves};

pub(super) struct Tq1_0;
pub(super) struct Tq2_0;

// SAFETY of every block below: the frame passes a pointer to a whole block and parts below 8, and runs with AVX2.

impl SuperBlock for Tq1_0 {
    const BYTES: usize = 54;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { one_scale(block.add(52)) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            // The digits of 32 bytes, five of each; then of 16 bytes, five; then of four bytes, four.
            let bytes = match part {
                0..=4 => _mm256_loadu_si256(block.cast()),
                _ => _mm256_broadcastsi128_si256(_mm_loadu_si128(block.add(32).cast())),
            };
            let both = |first: i16, second: i16| _mm256_set_m128i(_mm_set1_epi16(second), _mm_set1_epi16(first));
            match part {
                0 => digits(bytes, _mm256_set1_epi16(1)),
                1 => digits(bytes, _mm256_set1_epi16(3)),
                2 => digits(bytes, _mm256_set1_epi16(9)),
                3 => digits(bytes, _mm256_set1_epi16(27)),
                4 => digits(bytes, _mm256_set1_epi16(81)),
                5 => digits(bytes, both(1, 3)),
                6 => digits(bytes, both(9, 27)),
                _ => {
                    let last = _mm_set1_epi32(block.add(48).cast::<i32>().read_unaligned());
                    let powers = _mm256_setr_epi16(81, 81, 81, 81, 81, 81, 81, 81, 1, 1, 3, 3, 9, 9, 27, 27);
                    digits(_mm256_inserti128_si256::<1>(bytes, last), powers)
                }
            }
        }
    }
}

impl SuperBlock for Tq2_0 {
    const BYTES: usize = 66;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { one_scale(block.add(64)) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe { bits::<3>(block.add(32 * (part / 4)), 2 * (part % 4), 0) }
    }
}

/// Values of which one stands for zero, with the half-precision scale at `scale`.
#[inline(always)]
unsafe fn one_scale(scale: *const u8) -> Header {
    // SAFETY: the caller's block has the two bytes.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        Header { scales: ones, of_sums: ones, factors: halves(u32::from(scale.cast::<u16>().read_unaligned())) }
    }
}

/// The first digits of base 3 of 32 fractions of 256, times a power of 3 for each pair of bytes, modulo 256.
#[inline(always)]
unsafe fn digits(bytes: __m256i, powers: __m256i) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        // In the upper byte of a word a product drops what exceeds 256; times 3, the digit is carried out at the top.
        let even = _mm256_mullo_epi16(_mm256_slli_epi16::<8>(bytes), powers);
        let even = _mm256_mulhi_epu16(even, _mm256_set1_epi16(3));
        let odd = _mm256_and_si256(bytes, _mm256_set1_epi16(-256));
        let odd = _mm256_mulhi_epu16(_mm256_mullo_epi16(odd, powers), _mm256_set1_epi16(3 << 8));
        _mm256_or_si256(_mm256_and_si256(odd, _mm256_set1_epi16(0x300)), even)
    }
}
