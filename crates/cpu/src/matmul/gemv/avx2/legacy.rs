//! How the blocks of 32 are read with AVX2.

use std::arch::x86_64::*;

use super::blocks32::Block32;
use super::{Stored, bytes_of_bits};
use crate::matmul::integers::{IQ4_VALUES, MXFP4_VALUES, Offsets, halved_power_of_two};

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX2 and F16C.

macro_rules! blocks {
    ($($name:ident: $bytes:literal, $stored:ident, $zero:literal, $offsets:ident, $values:expr, $factors:expr;)*) => {
        $(pub(super) struct $name;

        impl Block32 for $name {
            const BYTES: usize = $bytes;
            const STORED: Stored = Stored::$stored;
            const ZERO: i8 = $zero;
            const OFFSETS: Offsets = Offsets::$offsets;

            #[inline(always)]
            unsafe fn values(block: *const u8, _: usize) -> __m256i {
                // SAFETY: as above.
                unsafe { $values(block) }
            }

            #[inline(always)]
            unsafe fn factors(block: *const u8, _: usize) -> __m128 {
                // SAFETY: as above.
                unsafe { $factors(block) }
            }
        })*
    };
}

blocks! {
    Q4_0: 18, Unsigned, 8, None, nibbles_at::<2>, halves;
    Q4_1: 20, Unsigned, 0, PerGroup, nibbles_at::<4>, halves;
    Q5_0: 22, Unsigned, 16, None, five_bits::<6, 2>, halves;
    Q5_1: 24, Unsigned, 0, PerGroup, five_bits::<8, 4>, halves;
    Q8_0: 34, Signed, 0, None, bytes::<2>, halves;
    Iq4Nl: 18, Symmetric, 0, None, iq4, halves;
    Mxfp4: 17, Symmetric, 0, None, mxfp4, power_of_two;
}

/// The scale, and after it the offset where there is one.
#[inline(always)]
unsafe fn halves(block: *const u8) -> __m128 {
    // SAFETY: the caller's block begins with a half, and has eight bytes.
    unsafe { _mm_cvtph_ps(_mm_loadl_epi64(block.cast())) }
}

#[inline(always)]
unsafe fn power_of_two(block: *const u8) -> __m128 {
    // SAFETY: the caller's block begins with an exponent.
    unsafe { _mm_set_ss(halved_power_of_two(*block)) }
}

#[inline(always)]
unsafe fn bytes<const AT: usize>(block: *const u8) -> __m256i {
    // SAFETY: the caller's block has 32 bytes there.
    unsafe { _mm256_loadu_si256(block.add(AT).cast()) }
}

/// Low nibbles of 16 bytes, then the high ones.
#[inline(always)]
pub(super) unsafe fn nibbles(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's block has the bytes.
    unsafe {
        let twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.cast()));
        let moved = _mm256_srlv_epi64(twice, _mm256_setr_epi64x(0, 0, 4, 4));
        _mm256_and_si256(moved, _mm256_set1_epi8(15))
    }
}

#[inline(always)]
unsafe fn nibbles_at<const AT: usize>(block: *const u8) -> __m256i {
    // SAFETY: the caller's block has the bytes.
    unsafe { nibbles(block.add(AT)) }
}

/// Nibbles at `AT` with a fifth bit each from the 32 bits at `BITS`.
#[inline(always)]
unsafe fn five_bits<const AT: usize, const BITS: usize>(block: *const u8) -> __m256i {
    // SAFETY: the caller's block has the bytes.
    unsafe {
        let bits = _mm256_set1_epi32(block.add(BITS).cast::<i32>().read_unaligned());
        _mm256_or_si256(nibbles(block.add(AT)), _mm256_and_si256(bytes_of_bits(bits), _mm256_set1_epi8(16)))
    }
}

#[inline(always)]
unsafe fn iq4(block: *const u8) -> __m256i {
    // SAFETY: the caller's block has the bytes.
    unsafe { looked_up(&IQ4_VALUES, nibbles(block.add(2))) }
}

#[inline(always)]
unsafe fn mxfp4(block: *const u8) -> __m256i {
    // SAFETY: the caller's block has the bytes.
    unsafe { looked_up(&MXFP4_VALUES, nibbles(block.add(1))) }
}

#[inline(always)]
pub(super) unsafe fn looked_up(table: &[i8; 16], nibbles: __m256i) -> __m256i {
    // SAFETY: the table has sixteen bytes.
    unsafe {
        let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
        _mm256_shuffle_epi8(table, nibbles)
    }
}
