//! How Q2_K and Q6_K are read.

use std::arch::x86_64::*;

use super::super_blocks::{Correction, Read, SumsOfFour, SuperBlock, lanes_of_16};

pub(super) struct Q2K;
pub(super) struct Q6K;

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

impl SuperBlock for Q6K {
    const BYTES: usize = 210;
    const CORRECTION: Correction = Correction::Zero { shift: 5 };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let of_sums = _mm256_cvtepi8_epi16(_mm_loadu_si128(block.add(192).cast()));
            let scale = block.add(208).cast::<u16>().read_unaligned();
            let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(scale)));
            Read { values: six_bits(block), scales: lanes_of_16(of_sums), of_sums, factors, signs: [0; 4] }
        }
    }
}

/// Sixteen signed 6-bit scales: eight bytes with four low bits of two scales each, then four with the two high bits of
/// four; 32 less than what is stored. In general registers, as the vector units have enough to do.
#[inline(always)]
pub(super) unsafe fn six_bits_of_sixteen(bytes: *const u8) -> __m128i {
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

/// The values of a Q6_K block as they are stored, in order.
#[inline(always)]
pub(in crate::matmul) unsafe fn six_bits(block: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller's block is whole.
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
        values
    }
}

/// The 256 elements of two bits that [`shifted_pairs`] brings to the low bits, and nothing else.
#[inline(always)]
pub(in crate::matmul) unsafe fn two_bits(bytes: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller's block has the 64 bytes.
    unsafe {
        let mut values = [_mm512_setzero_si512(); 4];
        for (i, values) in values.iter_mut().enumerate() {
            *values = _mm512_and_si512(shifted_pairs(bytes, i), _mm512_set1_epi8(3));
        }
        values
    }
}

/// Twice 32 bytes hold four times 32 elements of two bits, lowest bits first: brings those of 64 elements to the low
/// bits; the others keep what was there.
#[inline(always)]
unsafe fn shifted_pairs(bytes: *const u8, i: usize) -> __m512i {
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
pub(super) const SELECT: i32 = 0xca;
