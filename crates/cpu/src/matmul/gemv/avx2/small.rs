//! How the blocks of 64 and 128 are read with AVX2: Q1_0, Q2_0 and NVFP4.

use std::arch::x86_64::*;

use super::super::Scales;
use super::blocks32::Block32;
use super::legacy::looked_up;
use super::{Stored, bytes_of_bits, halves};
use crate::matmul::integers::{MXFP4_VALUES, Offsets};

pub(super) struct Q1_0;
pub(super) struct Q2_0;
pub(super) struct Nvfp4;

// SAFETY of every block below: the frame passes a pointer to a whole block and a group of it, and runs with AVX2 and
// F16C.

impl Block32 for Q1_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 4;
    const STORED: Stored = Stored::Unsigned;
    const ZERO: i8 = 1;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(block: *const u8, group: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let bits = _mm256_set1_epi32(block.add(2 + 4 * group).cast::<i32>().read_unaligned());
            _mm256_and_si256(bytes_of_bits(bits), _mm256_set1_epi8(2))
        }
    }

    #[inline(always)]
    unsafe fn factors(block: *const u8, _: usize) -> __m128 {
        // SAFETY: as above.
        unsafe { halves(block.cast::<u16>().read_unaligned().into()) }
    }
}

impl Block32 for Q2_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 2;
    const STORED: Stored = Stored::Unsigned;
    const ZERO: i8 = 1;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(block: *const u8, group: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let words = _mm_cvtepu8_epi16(_mm_loadl_epi64(block.add(2 + 8 * group).cast()));
            // A nibble to a byte, then its lower and upper pair of bits.
            let nibbles = _mm_and_si128(_mm_or_si128(words, _mm_slli_epi16::<4>(words)), _mm_set1_epi8(15));
            let three = _mm_set1_epi8(3);
            let lower = _mm_and_si128(nibbles, three);
            let upper = _mm_and_si128(_mm_srli_epi16::<2>(nibbles), three);
            _mm256_set_m128i(_mm_unpackhi_epi8(lower, upper), _mm_unpacklo_epi8(lower, upper))
        }
    }

    #[inline(always)]
    unsafe fn factors(block: *const u8, _: usize) -> __m128 {
        // SAFETY: as above.
        unsafe { halves(block.cast::<u16>().read_unaligned().into()) }
    }
}

impl Block32 for Nvfp4 {
    const BYTES: usize = 36;
    const GROUPS: usize = 2;
    const SCALES: Scales = Scales::PerHalf;
    const STORED: Stored = Stored::Symmetric;
    const ZERO: i8 = 0;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(block: *const u8, group: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            // Eight bytes are sixteen values: the low nibbles, then the high ones.
            let bytes = _mm_loadu_si128(block.add(4 + 16 * group).cast());
            let nibble = _mm_set1_epi8(15);
            let (low, high) = (_mm_and_si128(bytes, nibble), _mm_and_si128(_mm_srli_epi16::<4>(bytes), nibble));
            let in_order = _mm256_set_m128i(_mm_unpackhi_epi64(low, high), _mm_unpacklo_epi64(low, high));
            looked_up(&MXFP4_VALUES, in_order)
        }
    }

    #[inline(always)]
    unsafe fn factors(block: *const u8, group: usize) -> __m128 {
        // SAFETY: as above.
        unsafe {
            let two = block.add(2 * group).cast::<u16>().read_unaligned();
            let two = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(two.into()));
            // Unsigned floats of four exponent bits and three of fraction: as halves they are 2^8 too small, with the
            // same subnormal numbers. Half of them is wanted; 0x7f counts as zero, and the top bit as nothing.
            let numbers = _mm_and_si128(two, _mm_set1_epi16(0x7f));
            let numbers = _mm_andnot_si128(_mm_cmpeq_epi16(two, _mm_set1_epi16(0x7f)), numbers);
            _mm_mul_ps(_mm_cvtph_ps(_mm_slli_epi16::<7>(numbers)), _mm_set1_ps(128.0))
        }
    }
}
