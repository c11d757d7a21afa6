//! How the super-blocks are read: Q2_K to Q6_K and IQ4_XS.

use std::arch::x86_64::*;

use super::legacy::unsigned;
use super::super_blocks::{Correction, Read, SumsOfFour, SuperBlock, lanes_of_8, lanes_of_8_words, lanes_of_16};
use crate::matmul::integers::IQ4_VALUES;

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;
pub(super) struct Iq4Xs;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl SuperBlock for Q2K {
    const BYTES: usize = 84;
    const CORRECTION: Correction = Correction::Minimums16;
    const SUMS: SumsOfFour = SumsOfFour::Scaled;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let (both, nibble) = (_mm_loadu_si128(block.cast()), _mm_set1_epi8(15));
            let of_sums = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16::<4>(both), nibble));
            let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(block.add(80).cast::<i32>().read_unaligned()));
            // In each lane of 16 elements a table for each vector: none, once, twice and three times the scale.
            let by_vector = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let scales = _mm512_cvtepu8_epi32(_mm_shuffle_epi8(_mm_and_si128(both, nibble), by_vector));
            let twice = _mm512_slli_epi32::<17>(scales);
            let once = _mm512_slli_epi32::<8>(scales);
            let thrice = _mm512_slli_epi32::<8>(_mm512_add_epi32(twice, _mm512_slli_epi32::<16>(scales)));
            let table = _mm512_ternarylogic_epi32::<OR>(once, twice, thrice);
            let mut values = [_mm512_setzero_si512(); 4];
            for (i, values) in values.iter_mut().enumerate() {
                let codes = shifted_pairs(block.add(16), i);
                let in_table = _mm512_set1_epi8(4 * i as i8);
                let codes = _mm512_ternarylogic_epi32::<AND_OR>(codes, _mm512_set1_epi8(3), in_table);
                *values = _mm512_shuffle_epi8(table, codes);
            }
            Read { values, scales: [_mm512_setzero_si512(); 4], of_sums, factors, signs: [0; 4] }
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
            let third = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.cast()));
            let mut values = [_mm512_setzero_si512(); 4];
            for (i, values) in values.iter_mut().enumerate() {
                // Bits 2i and 2i + 1 of the two halves come to bit 2.
                let moved = match i {
                    0 => _mm512_sllv_epi64(third, _mm512_setr_epi64(2, 2, 2, 2, 1, 1, 1, 1)),
                    _ => {
                        let shift = _mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1);
                        let shift = _mm512_add_epi64(shift, _mm512_set1_epi64(2 * i as i64 - 2));
                        _mm512_srlv_epi64(third, shift)
                    }
                };
                let low = shifted_pairs(block.add(32), i);
                let both = _mm512_ternarylogic_epi32::<SELECT>(_mm512_set1_epi8(3), low, moved);
                *values = _mm512_and_si512(both, _mm512_set1_epi8(7));
            }
            let of_sums = _mm256_cvtepi8_epi16(six_bits_of_sixteen(block.add(96)));
            let scale = block.add(108).cast::<u16>().read_unaligned();
            let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale)));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors, signs: [0; 4] }
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
            Read { values: nibble_pairs(block.add(16)), scales, of_sums, factors, signs: [0; 4] }
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
            Read { values, scales, of_sums, factors, signs: [0; 4] }
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
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors, signs: [0; 4] }
        }
    }
}

impl SuperBlock for Iq4Xs {
    const BYTES: usize = 136;
    const CORRECTION: Correction = Correction::Zero8 { shift: 7 };
    const SUMS: SumsOfFour = SumsOfFour::Wide;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let table = _mm_loadu_si128((&raw const IQ4_UNSIGNED).cast());
            let table = _mm512_broadcast_i32x4(table);
            let shift = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
            let twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
            let mut values = [_mm512_setzero_si512(); 4];
            for (i, values) in values.iter_mut().enumerate() {
                let two = _mm512_castsi256_si512(_mm256_loadu_si256(block.add(8 + 32 * i).cast()));
                let both = _mm512_srlv_epi64(_mm512_permutexvar_epi64(twice, two), shift);
                *values = _mm512_shuffle_epi8(table, _mm512_and_si512(both, _mm512_set1_epi8(15)));
            }
            let header = _mm_loadl_epi64(block.cast());
            let factors = _mm_cvtph_ps(_mm_and_si128(header, _mm_setr_epi16(-1, 0, 0, 0, 0, 0, 0, 0)));
            // Eight times four low bits and two high ones.
            let low = _mm_shuffle_epi8(header, _mm_setr_epi8(4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1));
            let low = _mm_and_si128(_mm_srlv_epi16(low, _mm_setr_epi16(0, 4, 0, 4, 0, 4, 0, 4)), _mm_set1_epi16(15));
            let high = _mm_shuffle_epi8(header, _mm_set1_epi16(0x0302));
            let high = _mm_srlv_epi16(high, _mm_setr_epi16(0, 2, 4, 6, 8, 10, 12, 14));
            let high = _mm_slli_epi16::<4>(_mm_and_si128(high, _mm_set1_epi16(3)));
            let scales = _mm_sub_epi16(_mm_or_si128(low, high), _mm_set1_epi16(32));
            let by_lane = lanes_of_8_words(_mm256_cvtepi16_epi32(scales));
            Read { values, scales: by_lane, of_sums: _mm256_castsi128_si256(scales), factors, signs: [0; 4] }
        }
    }
}

static IQ4_UNSIGNED: [u8; 16] = unsigned(IQ4_VALUES, 128);

/// Sixteen signed 6-bit scales: eight bytes with four low bits of two scales each, then four with the two high bits of
/// four; 32 less than what is stored. In general registers, as the vector units have enough to do.
#[inline(always)]
unsafe fn six_bits_of_sixteen(bytes: *const u8) -> __m128i {
    const TWO: u64 = 0x0303_0303_0303_0303;
    const FOUR: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    // SAFETY: the caller's block has twelve bytes here.
    unsafe {
        let low = bytes.cast::<u64>().read_unaligned();
        let high = u64::from(bytes.add(8).cast::<u32>().read_unaligned());
        // Four bytes as they are, four moved down by two bits.
        let high = high | high << 30;
        let first = low & FOUR | (high & TWO) << 4;
        let second = low >> 4 & FOUR | (high >> 4 & TWO) << 4;
        _mm_sub_epi8(_mm_set_epi64x(second as i64, first as i64), _mm_set1_epi8(32))
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

/// Twice 32 bytes hold four times 32 elements of two bits, lowest bits first: brings those of 64 elements to the low
/// bits; the others keep what was there.
#[inline(always)]
pub(super) unsafe fn shifted_pairs(bytes: *const u8, i: usize) -> __m512i {
    // SAFETY: the caller's block has the 64 bytes.
    unsafe {
        let both = _mm512_broadcast_i64x4(_mm256_loadu_si256(bytes.add(32 * (i / 2)).cast()));
        let shift = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
        _mm512_srlv_epi64(both, _mm512_add_epi64(shift, _mm512_set1_epi64(4 * (i as i64 % 2))))
    }
}

/// Three-operand logic: `a | b | c`.
const OR: i32 = 0xfe;
/// `(a & b) | c`.
const AND_OR: i32 = 0xea;
/// Bits of `b` where `a` is set, of `c` elsewhere.
const SELECT: i32 = 0xca;

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
