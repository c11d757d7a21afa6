//! How the super-blocks are read: Q4_K, Q5_K and Q6_K.

use std::arch::x86_64::*;

use super::super_blocks::{Correction, Read, SuperBlock};

pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl SuperBlock for Q4K {
    const BYTES: usize = 144;
    const CORRECTION: Correction = Correction::Minimums;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let (scales, of_sums, factors) = six_bit_scales(block);
            Read { values: nibble_pairs(block.add(16)), scales, of_sums, factors }
        }
    }
}

impl SuperBlock for Q5K {
    const BYTES: usize = 176;
    const CORRECTION: Correction = Correction::Minimums;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let (scales, of_sums, factors) = six_bit_scales(block);
            let mut values = nibble_pairs(block.add(48));
            let fifth = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.add(16).cast()));
            let sixteen = _mm512_set1_epi8(16);
            for (i, values) in values.iter_mut().enumerate() {
                // Bit 2i is of the first 32 elements, bit 2i + 1 of the other.
                let (first, second) = (_mm256_set1_epi8(1 << (2 * i)), _mm256_set1_epi8((2u8 << (2 * i)) as i8));
                let bits = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
                let set = _mm512_test_epi8_mask(fifth, bits);
                *values = _mm512_mask_add_epi8(*values, set, *values, sixteen);
            }
            Read { values, scales, of_sums, factors }
        }
    }
}

impl SuperBlock for Q6K {
    const BYTES: usize = 210;
    const CORRECTION: Correction = Correction::Zero { shift: 5 };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            let (nibble, pair) = (_mm512_set1_epi8(15), _mm512_set1_epi8(48));
            let left = _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2);
            let right = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
            for half in 0..2 {
                let low = _mm512_loadu_si512(block.add(64 * half).cast());
                let high = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.add(128 + 32 * half).cast()));
                let first = _mm512_and_si512(_mm512_sllv_epi64(high, left), pair);
                let second = _mm512_and_si512(_mm512_srlv_epi64(high, right), pair);
                values[2 * half] = _mm512_or_si512(_mm512_and_si512(low, nibble), first);
                let low = _mm512_and_si512(_mm512_srli_epi16::<4>(low), nibble);
                values[2 * half + 1] = _mm512_or_si512(low, second);
            }
            let of_sums = _mm256_cvtepi8_epi16(_mm_loadu_si128(block.add(192).cast()));
            let sixteen = _mm512_cvtepu16_epi32(of_sums);
            let mut scales = [_mm512_setzero_si512(); 4];
            for (i, scales) in scales.iter_mut().enumerate() {
                let first = _mm512_set1_epi32(4 * i as i32);
                let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
                *scales = _mm512_permutexvar_epi32(_mm512_add_epi32(first, lanes), sixteen);
            }
            let scale = block.add(208).cast::<u16>().read_unaligned();
            Read { values, scales, of_sums, factors: _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale))) }
        }
    }
}

/// Four times 32 bytes: 32 elements in the low nibbles, the next 32 in the high ones.
#[inline(always)]
unsafe fn nibble_pairs(bytes: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller's block has the 128 bytes.
    unsafe {
        let shift = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
        let mut values = [_mm512_setzero_si512(); 4];
        for (i, values) in values.iter_mut().enumerate() {
            let both = _mm512_broadcast_i64x4(_mm256_loadu_si256(bytes.add(32 * i).cast()));
            *values = _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(15));
        }
        values
    }
}

/// The header Q4_K and Q5_K share: scales by lane, minimums as words, and the two factors.
#[inline(always)]
unsafe fn six_bit_scales(block: *const u8) -> ([__m512i; 4], __m256i, __m128) {
    // SAFETY: the caller's block has the 16 bytes.
    unsafe {
        let word = |i: usize| block.add(4 + 4 * i).cast::<u32>().read_unaligned();
        let (a, b, c) = (word(0), word(1), word(2));
        let scales_high = (c & 0x0f0f_0f0f) | ((a >> 2) & 0x3030_3030);
        let minimums_high = ((c >> 4) & 0x0f0f_0f0f) | ((b >> 2) & 0x3030_3030);
        let scales = u64::from(a & 0x3f3f_3f3f) | u64::from(scales_high) << 32;
        let minimums = u64::from(b & 0x3f3f_3f3f) | u64::from(minimums_high) << 32;
        let eight = _mm512_set1_epi64(scales as i64);
        let mut by_lane = [_mm512_setzero_si512(); 4];
        for (i, by_lane) in by_lane.iter_mut().enumerate() {
            // Byte 2i for the lanes of the first 32 elements, byte 2i + 1 for the others; other bytes zero.
            let (first, second) = (2 * i as i32, 2 * i as i32 + 1);
            let zeros = 0x8080_8000u32 as i32;
            let (first, second) = (_mm256_set1_epi32(zeros | first), _mm256_set1_epi32(zeros | second));
            let pick = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second);
            *by_lane = _mm512_shuffle_epi8(eight, pick);
        }
        let of_sums = _mm256_castsi128_si256(_mm_cvtepu8_epi16(_mm_cvtsi64_si128(minimums as i64)));
        let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(block.cast::<i32>().read_unaligned()));
        (by_lane, of_sums, factors)
    }
}
