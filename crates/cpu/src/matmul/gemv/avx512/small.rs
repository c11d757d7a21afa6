//! How the blocks of 64 and 128 are read: Q1_0, Q2_0 and NVFP4.

use std::arch::x86_64::*;

use super::super::Scales;
use super::blocks32::Block32;
use super::legacy::{looked_up, nibbles, unsigned};
use crate::matmul::integers::{MXFP4_VALUES, Offsets};

pub(super) struct Q1_0;
pub(super) struct Q2_0;
pub(super) struct Nvfp4;

// SAFETY of every block below: the frame passes pointers to whole blocks, one for each group of 32, and runs with
// AVX-512.

impl Block32 for Q1_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 4;
    const ZERO: u8 = 1;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values([block, ..]: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe {
            let bits = _mm_loadu_si128(block.add(2).cast());
            let by_half = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
            let bits = _mm_shuffle_epi8(bits, by_half);
            let (low, high) = (_mm_cvtsi128_si64(bits) as u64, _mm_extract_epi64::<1>(bits) as u64);
            [_mm512_maskz_set1_epi8(low, 2), _mm512_maskz_set1_epi8(high, 2)]
        }
    }

    #[inline(always)]
    unsafe fn scales([block, ..]: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe {
            let half = block.cast::<u16>().read_unaligned();
            [_mm_cvtph_ps(_mm_set1_epi16(half as i16)); 2]
        }
    }
}

impl Block32 for Q2_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 2;
    const ZERO: u8 = 1;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values([first, _, second, _]: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe {
            const OR_AND: i32 = 0xa8; // (a | b) & c
            let bytes = _mm256_loadu2_m128i(second.add(2).cast(), first.add(2).cast());
            let words = _mm512_cvtepu8_epi16(bytes);
            // A nibble to a byte, then its lower and upper pair of bits.
            let moved = _mm512_slli_epi16::<4>(words);
            let nibbles = _mm512_ternarylogic_epi32::<OR_AND>(words, moved, _mm512_set1_epi8(15));
            let three = _mm512_set1_epi8(3);
            let lower = _mm512_and_si512(nibbles, three);
            let upper = _mm512_and_si512(_mm512_srli_epi16::<2>(nibbles), three);
            [_mm512_unpacklo_epi8(lower, upper), _mm512_unpackhi_epi8(lower, upper)]
        }
    }

    #[inline(always)]
    unsafe fn scales([first, _, second, _]: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe {
            let half = |block: *const u8| u32::from(block.cast::<u16>().read_unaligned());
            let twice = |half: u32| u64::from(half | half << 16);
            let four = twice(half(first)) | twice(half(second)) << 32;
            [_mm_cvtph_ps(_mm_cvtsi64_si128(four as i64)); 2]
        }
    }
}

impl Block32 for Nvfp4 {
    const BYTES: usize = 36;
    const GROUPS: usize = 2;
    const SCALES: Scales = Scales::PerHalf;
    const ZERO: u8 = 12;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values([first, _, second, _]: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe {
            let first = _mm512_castsi256_si512(_mm256_loadu_si256(first.add(4).cast()));
            let bytes = _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(second.add(4).cast()));
            // Eight bytes are sixteen values: the low nibbles, then the high ones.
            let [low, high] = nibbles(bytes);
            let in_order = [_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high)];
            looked_up(in_order, &const { unsigned(MXFP4_VALUES, 12) })
        }
    }

    #[inline(always)]
    unsafe fn scales([first, _, second, _]: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe {
            let four = |block: *const u8| u64::from(block.cast::<u32>().read_unaligned());
            let eight = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((four(first) | four(second) << 32) as i64));
            // Unsigned floats of four exponent bits and three of fraction: as halves they are 2^8 too small, with the
            // same subnormal numbers. Half of them is wanted; 0x7f counts as zero, and the top bit as nothing.
            let numbers = _mm_cmpneq_epi16_mask(eight, _mm_set1_epi16(0x7f));
            let halves = _mm_maskz_slli_epi16::<7>(numbers, _mm_and_si128(eight, _mm_set1_epi16(0x7f)));
            let scales = _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_set1_ps(128.0));
            let (first, second) = (_mm256_castps256_ps128(scales), _mm256_extractf128_ps::<1>(scales));
            [_mm_shuffle_ps::<0x88>(first, second), _mm_shuffle_ps::<0xdd>(first, second)]
        }
    }
}
