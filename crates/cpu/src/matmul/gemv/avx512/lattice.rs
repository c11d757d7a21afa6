//! How the larger lattices are read: IQ1_M and IQ2_S, whose points are loaded one by one. For IQ1_S, and without VNNI for
//! IQ2_S, the kernel of AVX2, where scalar instructions find the indices, is faster.

use std::arch::x86_64::*;
use std::hint::black_box;

use ascua_quant::tables::IQ2_S_GRID;

use super::super::Signs;
use super::super_blocks::{Correction, Read, SuperBlock, lanes_of_16};
use crate::matmul::integers::{IQ1_RAISED, iq1_m_half};

pub(super) struct Iq1M;
pub(in crate::matmul) struct Iq2S;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl SuperBlock for Iq1M {
    const BYTES: usize = 56;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(block.add(32).cast()));
            // The second nibble of a byte in the word above it.
            let upper = _mm512_or_si512(bytes, _mm512_slli_epi32::<12>(bytes));
            let up = _mm512_testn_epi16_mask(upper, _mm512_set1_epi16(8));
            let mut values = ternary(block, upper);
            // In eighths, raised by 9: values are an eighth higher than the points, or lower.
            for (i, values) in values.iter_mut().enumerate() {
                let eighths = _mm512_slli_epi64::<3>(*values);
                *values = _mm512_mask_add_epi64(eighths, (up >> (8 * i)) as u8, eighths, _mm512_set1_epi8(2));
            }
            let words = block.add(48).cast::<u64>().read_unaligned();
            let four = _mm256_setr_epi8(
                0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7,
            );
            let threes = _mm256_shuffle_epi8(_mm256_set1_epi64x(words as i64), four);
            let threes = _mm256_srlv_epi16(threes, _mm256_set1_epi64x(0x0009_0006_0003_0000));
            let odd = odd(_mm256_and_si256(threes, _mm256_set1_epi16(7)));
            let of_sums = _mm256_add_epi16(_mm256_slli_epi16::<3>(odd), odd);
            let bits = _mm_cvtsi32_si128(iq1_m_half(words).into());
            let factors = _mm_mul_ps(_mm_cvtph_ps(bits), _mm_set1_ps(0.125));
            Read { values, scales: lanes_of_16(odd), of_sums, factors, signs: [0; 4] }
        }
    }
}

impl SuperBlock for Iq2S {
    const BYTES: usize = 82;
    const CORRECTION: Correction = Correction::None;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let low = words(block.add(2));
            // Two bits for each of four points in a byte, brought to bits 8 and 9.
            let pairs = _mm512_set1_epi64(block.add(66).cast::<i64>().read_unaligned());
            let upper = _mm512_shuffle_epi8(
                pairs,
                _mm512_setr_epi64(
                    upper_bytes(0),
                    upper_bytes(1),
                    upper_bytes(2),
                    upper_bytes(3),
                    upper_bytes(4),
                    upper_bytes(5),
                    upper_bytes(6),
                    upper_bytes(7),
                ),
            );
            let upper = _mm512_srlv_epi16(upper, _mm512_set1_epi64(0x0006_0004_0002_0000));
            let upper = _mm512_and_si512(upper, _mm512_set1_epi16(0x300));
            let values = loaded(&IQ2_S_GRID, _mm512_or_si512(low, upper));
            let signs = block.add(34).cast::<[u64; 4]>().read_unaligned();
            let of_sums = odd_nibbles(block.add(74));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors: half(block, 0.125), signs }
        }
    }
}

/// The block's scale times a constant.
#[inline(always)]
unsafe fn half(block: *const u8, unit: f32) -> __m128 {
    // SAFETY: the caller's block begins with a half.
    unsafe {
        let bits = block.cast::<u16>().read_unaligned();
        _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))), _mm_set1_ps(unit))
    }
}

/// Thirty-two bytes as words.
#[inline(always)]
pub(super) unsafe fn words(bytes: *const u8) -> __m512i {
    // SAFETY: the caller has the bytes; AVX-512 is the caller's.
    unsafe { _mm512_cvtepu8_epi16(_mm256_loadu_si256(bytes.cast())) }
}

/// Thirty-two ternary points, raised by 1: `low` holds the low bits of their indices, `upper` the next three.
#[inline(always)]
unsafe fn ternary(low: *const u8, upper: __m512i) -> [__m512i; 4] {
    // SAFETY: the caller has 32 bytes, and indices have eleven bits; AVX-512 is the caller's.
    unsafe {
        let low = words(low);
        let upper = _mm512_and_si512(_mm512_slli_epi16::<8>(upper), _mm512_set1_epi16(0x700));
        loaded(&IQ1_RAISED, _mm512_or_si512(low, upper))
    }
}

/// Shuffle of the eighth `i` of a vector: byte `i` into the upper bytes of four words.
const fn upper_bytes(i: i64) -> i64 {
    (i << 8 | 0x80) * 0x0001_0001_0001_0001
}

/// Twice sixteen nibbles, plus one, as words.
#[inline(always)]
unsafe fn odd_nibbles(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's block has the eight bytes.
    unsafe {
        let bytes = _mm_loadl_epi64(bytes.cast());
        let nibbles = _mm_and_si128(_mm_unpacklo_epi8(bytes, _mm_srli_epi16::<4>(bytes)), _mm_set1_epi8(15));
        odd(_mm256_cvtepu8_epi16(nibbles))
    }
}

/// Twice the words, plus one.
#[inline(always)]
unsafe fn odd(words: __m256i) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe { _mm256_add_epi16(_mm256_add_epi16(words, words), _mm256_set1_epi16(1)) }
}

/// Thirty-two points of eight values, loaded one by one.
///
/// # Safety
/// The 16-bit indices lie within the table; the machine has AVX-512.
#[inline(always)]
unsafe fn loaded<const N: usize>(points: &[u64; N], indices: __m512i) -> [__m512i; 4] {
    // SAFETY: the indices are the caller's.
    unsafe {
        let mut stored = [0u16; 32];
        _mm512_storeu_si512(stored.as_mut_ptr().cast(), indices);
        // Hidden from the compiler, which would extract from the register what is cheaper to read back.
        let stored = black_box(&stored);
        let point = |i: usize| *points.get_unchecked(usize::from(stored[i])) as i64;
        let eight = |i: usize| {
            let [a, b, c, d, e, f, g, h] = std::array::from_fn(|k| point(i + k));
            _mm512_setr_epi64(a, b, c, d, e, f, g, h)
        };
        [eight(0), eight(8), eight(16), eight(24)]
    }
}
