//! The values of super-blocks, each read as four vectors in order.
//!
//! An encoding keeps some bits of 64 values in 32 bytes, of which the second 32 values have higher ones, or in 64. Rotated
//! to their places they come with bits of others, which are masked.

use std::arch::x86_64::*;

use crate::matmul::gemv::avx512::k_quants::{six_bits, two_bits};
use crate::matmul::integers::{Q2K, Q3K, Q4K, Q5K, Q6K, SubScaled};

/// An encoding that this level reads.
pub(super) trait Vectors: SubScaled {
    /// # Safety
    /// The block is whole, the machine has AVX-512.
    unsafe fn vectors(block: *const u8) -> [__m512i; 4];
}

// SAFETY of every encoding below: the block is whole, the machine has AVX-512.

impl Vectors for Q2K {
    #[inline(always)]
    unsafe fn vectors(block: *const u8) -> [__m512i; 4] {
        // SAFETY: as above.
        unsafe { two_bits(block.add(16)) }
    }
}

impl Vectors for Q3K {
    #[inline(always)]
    unsafe fn vectors(block: *const u8) -> [__m512i; 4] {
        // SAFETY: as above.
        unsafe {
            let mut values = two_bits(block.add(32));
            let third = twice32(block);
            for (v, values) in values.iter_mut().enumerate() {
                let v = v as i32;
                let bits = rotated_right(third, 2 * v - 2, 2 * v - 1);
                *values = _mm512_sub_epi8(with_bits(*values, bits, 4), _mm512_set1_epi8(4));
            }
            values
        }
    }
}

impl Vectors for Q4K {
    #[inline(always)]
    unsafe fn vectors(block: *const u8) -> [__m512i; 4] {
        // SAFETY: as above.
        unsafe { four_bits(block.add(16)) }
    }
}

impl Vectors for Q5K {
    #[inline(always)]
    unsafe fn vectors(block: *const u8) -> [__m512i; 4] {
        // SAFETY: as above.
        unsafe {
            let mut values = four_bits(block.add(48));
            let fifth = twice32(block.add(16));
            for (v, values) in values.iter_mut().enumerate() {
                let v = v as i32;
                *values = with_bits(*values, rotated_right(fifth, 2 * v - 4, 2 * v - 3), 16);
            }
            values
        }
    }
}

impl Vectors for Q6K {
    #[inline(always)]
    unsafe fn vectors(block: *const u8) -> [__m512i; 4] {
        // SAFETY: as above.
        unsafe {
            let mut values = six_bits(block);
            for values in &mut values {
                *values = _mm512_sub_epi8(*values, _mm512_set1_epi8(32));
            }
            values
        }
    }
}

/// Of each 32 bytes first the four low bits, then the four high ones.
#[inline(always)]
unsafe fn four_bits(bytes: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller has 128 bytes.
    unsafe {
        let mut values = [_mm512_setzero_si512(); 4];
        for (v, values) in values.iter_mut().enumerate() {
            let pairs = rotated_right(twice32(bytes.add(32 * v)), 0, 4);
            *values = _mm512_and_si512(pairs, _mm512_set1_epi8(15));
        }
        values
    }
}

/// The 32 bytes, for the first and the second half of a vector.
#[inline(always)]
unsafe fn twice32(bytes: *const u8) -> __m512i {
    // SAFETY: the caller has 32 bytes.
    unsafe { _mm512_broadcast_i64x4(_mm256_loadu_si256(bytes.cast())) }
}

/// Each half of a vector, four bytes at a time, rotated to the right: by so many bits, or to the left where they are
/// negative.
#[inline(always)]
unsafe fn rotated_right(bytes: __m512i, first: i32, second: i32) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let halves = _mm512_inserti64x4::<1>(_mm512_set1_epi32(first), _mm256_set1_epi32(second));
        _mm512_rorv_epi32(bytes, halves)
    }
}

/// Values with those bits of others that a mask has.
#[inline(always)]
unsafe fn with_bits(values: __m512i, others: __m512i, mask: i8) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe { _mm512_or_si512(values, _mm512_and_si512(others, _mm512_set1_epi8(mask))) }
}
