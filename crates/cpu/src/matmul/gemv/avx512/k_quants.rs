//! How the super-blocks are read: Q2_K to Q6_K.

use std::arch::x86_64::*;

use super::super_blocks::{Correction, Read, SuperBlock, lanes_of_8, lanes_of_16};

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl SuperBlock for Q2K {
    const BYTES: usize = 84;
    const CORRECTION: Correction = Correction::Minimums16;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let (both, nibble) = (_mm_loadu_si128(block.cast()), _mm_set1_epi8(15));
            let scales = _mm256_cvtepu8_epi16(_mm_and_si128(both, nibble));
            let of_sums = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16::<4>(both), nibble));
            let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(block.add(80).cast::<i32>().read_unaligned()));
            let values = two_bits(block.add(16));
            Read { values, scales: lanes_of_16(scales), of_sums, factors, signs: None }
        }
    }
}

impl SuperBlock for Q3K {
    const BYTES: usize = 110;
    const CORRECTION: Correction = Correction::Zero { shift: 2 };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = two_bits(block.add(32));
            let third = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.cast()));
            for (i, values) in values.iter_mut().enumerate() {
                let set = _mm512_test_epi8_mask(third, bit_pair(i));
                *values = _mm512_mask_add_epi8(*values, set, *values, _mm512_set1_epi8(4));
            }
            let word = |i: usize| block.add(96 + 4 * i).cast::<u32>().read_unaligned();
            let (a, b, high) = (word(0), word(1), word(2));
            let six = |low: u32, high: u32| ((low & 0x0f0f_0f0f) | ((high & 0x0303_0303) << 4)) as i32;
            let scales =
                _mm_setr_epi32(six(a, high), six(b, high >> 2), six(a >> 4, high >> 4), six(b >> 4, high >> 6));
            let of_sums = _mm256_cvtepi8_epi16(_mm_sub_epi8(scales, _mm_set1_epi8(32)));
            let scale = block.add(108).cast::<u16>().read_unaligned();
            let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale)));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors, signs: None }
        }
    }
}

impl SuperBlock for Q4K {
    const BYTES: usize = 144;
    const CORRECTION: Correction = Correction::Minimums8;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let (scales, of_sums, factors) = six_bit_scales(block);
            Read { values: nibble_pairs(block.add(16)), scales, of_sums, factors, signs: None }
        }
    }
}

impl SuperBlock for Q5K {
    const BYTES: usize = 176;
    const CORRECTION: Correction = Correction::Minimums8;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let (scales, of_sums, factors) = six_bit_scales(block);
            let mut values = nibble_pairs(block.add(48));
            let fifth = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.add(16).cast()));
            let sixteen = _mm512_set1_epi8(16);
            for (i, values) in values.iter_mut().enumerate() {
                let set = _mm512_test_epi8_mask(fifth, bit_pair(i));
                *values = _mm512_mask_add_epi8(*values, set, *values, sixteen);
            }
            Read { values, scales, of_sums, factors, signs: None }
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
            let scale = block.add(208).cast::<u16>().read_unaligned();
            let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale)));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors, signs: None }
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

/// Twice 32 bytes: four times 32 elements of two bits, lowest bits first.
#[inline(always)]
unsafe fn two_bits(bytes: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller's block has the 64 bytes.
    unsafe {
        let mut values = [_mm512_setzero_si512(); 4];
        for (i, values) in values.iter_mut().enumerate() {
            let both = _mm512_broadcast_i64x4(_mm256_loadu_si256(bytes.add(32 * (i / 2)).cast()));
            let shift = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
            let shift = _mm512_add_epi64(shift, _mm512_set1_epi64(4 * (i as i64 % 2)));
            *values = _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(3));
        }
        values
    }
}

/// Bit 2i in the first 32 bytes, bit 2i + 1 in the others.
#[inline(always)]
unsafe fn bit_pair(i: usize) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let (first, second) = (_mm256_set1_epi8(1 << (2 * i)), _mm256_set1_epi8((2u8 << (2 * i)) as i8));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
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
        let of_sums = _mm256_castsi128_si256(_mm_cvtepu8_epi16(_mm_cvtsi64_si128(minimums as i64)));
        let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(block.cast::<i32>().read_unaligned()));
        (lanes_of_8(scales), of_sums, factors)
    }
}
