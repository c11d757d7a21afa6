//! Sixteen bytes with SSE4.1 and SSSE3: `pmaddubsw` adds pairs of products in 16 bits.

use std::arch::x86_64::*;

use super::{Body, Bytes16, Stored};
use crate::lanes;

pub(in crate::matmul) struct Sse41;

#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn enter<B: Body>(body: B) {
    // SAFETY: the caller vouches for the machine and the body.
    unsafe { body.run() }
}

/// Products added by pairs.
#[inline(always)]
unsafe fn pairs(stored: Stored, w: __m128i, x: __m128i) -> __m128i {
    // SAFETY: the machine has the level.
    unsafe {
        match stored {
            Stored::Unsigned => _mm_maddubs_epi16(w, x),
            Stored::Signed => _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(x, w)),
        }
    }
}

// SAFETY of every block below: the machine has the level, as the trait's callers promise.
impl Bytes16 for Sse41 {
    type Bytes = __m128i;
    type Ints = __m128i;
    type Floats = lanes::Sse41;
    type Above = __m128i;

    #[inline(always)]
    unsafe fn enter<B: Body>(body: B) {
        // SAFETY: as above.
        unsafe { enter(body) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    unsafe fn of_numbers(low: u64, high: u64) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_set_epi64x(high.cast_signed(), low.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn or(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_or_si128(a, b) }
    }

    #[inline(always)]
    unsafe fn bits(bytes: __m128i, from: usize, mask: u8) -> __m128i {
        debug_assert!(u32::from(mask) << from <= 0xff, "bits of a neighbour");
        // SAFETY: as above.
        unsafe { _mm_and_si128(_mm_srl_epi16(bytes, _mm_cvtsi32_si128(from as i32)), _mm_set1_epi8(mask as i8)) }
    }

    #[inline(always)]
    unsafe fn raise(bytes: __m128i, by: usize) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_sll_epi16(bytes, _mm_cvtsi32_si128(by as i32)) }
    }

    #[inline(always)]
    unsafe fn look_up(table: __m128i, index: __m128i) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_shuffle_epi8(table, index) }
    }

    #[inline(always)]
    unsafe fn in_turn(a: __m128i, b: __m128i) -> [__m128i; 2] {
        // SAFETY: as above.
        unsafe { [_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)] }
    }

    #[inline(always)]
    unsafe fn joined(a: __m128i, b: __m128i) -> [__m128i; 2] {
        // SAFETY: as above.
        unsafe { [_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b)] }
    }

    #[inline(always)]
    unsafe fn digits(bytes: __m128i, powers: __m128i) -> __m128i {
        // SAFETY: as above.
        unsafe {
            let powers = _mm_and_si128(powers, _mm_set1_epi16(0xff));
            // In the upper byte of a word a product drops what exceeds 256; times 3, the digit is carried out at the top.
            let even = _mm_mullo_epi16(_mm_slli_epi16::<8>(bytes), powers);
            let even = _mm_mulhi_epu16(even, _mm_set1_epi16(3));
            let odd = _mm_mullo_epi16(_mm_and_si128(bytes, _mm_set1_epi16(-256)), powers);
            let odd = _mm_mulhi_epu16(odd, _mm_set1_epi16(3 << 8));
            _mm_or_si128(_mm_and_si128(odd, _mm_set1_epi16(0x300)), even)
        }
    }

    #[inline(always)]
    unsafe fn where_set(bits: u16, byte: u8) -> __m128i {
        // SAFETY: as above.
        unsafe {
            let spread = _mm_set_epi64x(0x0101_0101_0101_0101, 0);
            let select = _mm_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
            let bits = _mm_shuffle_epi8(_mm_cvtsi32_si128(i32::from(bits)), spread);
            let set = _mm_cmpeq_epi8(_mm_and_si128(bits, select), select);
            _mm_and_si128(set, _mm_set1_epi8(byte as i8))
        }
    }

    #[inline(always)]
    unsafe fn no_ints() -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_setzero_si128() }
    }

    #[inline(always)]
    unsafe fn sub(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_sub_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn shift_left(a: __m128i, by: usize) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_sll_epi32(a, _mm_cvtsi32_si128(by as i32)) }
    }

    #[inline(always)]
    unsafe fn floats(a: __m128i) -> lanes::Sse41 {
        // SAFETY: as above.
        lanes::Sse41(unsafe { _mm_cvtepi32_ps(a) })
    }

    #[inline(always)]
    unsafe fn above(zero: u8, x: [__m128i; 2]) -> __m128i {
        // SAFETY: as above.
        unsafe {
            let zero = _mm_set1_epi8(zero as i8);
            _mm_add_epi16(_mm_maddubs_epi16(zero, x[0]), _mm_maddubs_epi16(zero, x[1]))
        }
    }

    #[inline(always)]
    unsafe fn dot32(stored: Stored, zero: u8, w: [__m128i; 2], x: [__m128i; 2], above: __m128i) -> __m128i {
        // SAFETY: as above.
        unsafe {
            let ones = _mm_set1_epi16(1);
            let (low, high) = (pairs(stored, w[0], x[0]), pairs(stored, w[1], x[1]));
            match stored {
                // Two pairs of at most 2 * 63 * 127 fit.
                Stored::Unsigned => {
                    let mut both = _mm_add_epi16(low, high);
                    if zero != 0 {
                        both = _mm_sub_epi16(both, above);
                    }
                    _mm_madd_epi16(both, ones)
                }
                Stored::Signed => _mm_add_epi32(_mm_madd_epi16(low, ones), _mm_madd_epi16(high, ones)),
            }
        }
    }

    #[inline(always)]
    unsafe fn scaled_dot16(sum: __m128i, stored: Stored, w: __m128i, x: __m128i, scale: i16) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_add_epi32(sum, _mm_madd_epi16(pairs(stored, w, x), _mm_set1_epi16(scale))) }
    }

    #[inline(always)]
    unsafe fn words_dot(sum: __m128i, a: *const i16, b: *const i16) -> __m128i {
        // SAFETY: as above.
        unsafe {
            let products = _mm_madd_epi16(_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast()));
            _mm_add_epi32(sum, products)
        }
    }
}
