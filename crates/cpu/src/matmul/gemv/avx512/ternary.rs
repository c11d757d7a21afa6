//! How the ternary super-blocks are read: TQ1_0 and TQ2_0. Their 256 values have one scale.

use std::arch::x86_64::*;

use super::k_quants::two_bits;
use super::super_blocks::{Correction, Read, SumsOfFour, SuperBlock};

pub(super) struct Tq1_0;
pub(super) struct Tq2_0;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl SuperBlock for Tq1_0 {
    const BYTES: usize = 54;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };
    const SUMS: SumsOfFour = SumsOfFour::Scaled;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            // The digits of 32 bytes, five of each; then of 16 bytes, five; then of four bytes, four.
            let long = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.cast()));
            let short = _mm512_broadcast_i32x4(_mm_loadu_si128(block.add(32).cast()));
            let both = _mm512_mask_blend_epi64(0xf0, long, short);
            let last = block.add(48).cast::<i32>().read_unaligned();
            let last = _mm512_mask_set1_epi32(short, 0xf000, last);
            let values = [
                digits(long, _mm512_setr_epi64(ONE, ONE, ONE, ONE, 3 * ONE, 3 * ONE, 3 * ONE, 3 * ONE)),
                digits(
                    long,
                    _mm512_setr_epi64(9 * ONE, 9 * ONE, 9 * ONE, 9 * ONE, 27 * ONE, 27 * ONE, 27 * ONE, 27 * ONE),
                ),
                digits(both, _mm512_setr_epi64(81 * ONE, 81 * ONE, 81 * ONE, 81 * ONE, ONE, ONE, 3 * ONE, 3 * ONE)),
                digits(
                    last,
                    _mm512_setr_epi64(9 * ONE, 9 * ONE, 27 * ONE, 27 * ONE, 81 * ONE, 81 * ONE, LAST, LAST * 9),
                ),
            ];
            one_scale(values, block.add(52))
        }
    }
}

impl SuperBlock for Tq2_0 {
    const BYTES: usize = 66;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };
    const SUMS: SumsOfFour = SumsOfFour::Scaled;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe { one_scale(two_bits(block), block.add(64)) }
    }
}

/// One, for each pair of eight bytes; and one for four of them, three for the others.
const ONE: i64 = 0x0001_0001_0001_0001;
const LAST: i64 = 0x0003_0003_0001_0001;

/// Values of which one stands for zero, with the half-precision scale at `scale`.
#[inline(always)]
unsafe fn one_scale(values: [__m512i; 4], scale: *const u8) -> Read {
    // SAFETY: the caller's block has the two bytes.
    unsafe {
        let bits = scale.cast::<u16>().read_unaligned();
        Read {
            values,
            scales: [_mm512_setzero_si512(); 4],
            of_sums: _mm256_set1_epi16(1),
            factors: _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))),
            signs: [0; 4],
        }
    }
}

/// The first digits of base 3 of 64 fractions of 256, times a power of 3 for each pair of bytes, modulo 256.
#[inline(always)]
unsafe fn digits(bytes: __m512i, powers: __m512i) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        const AND_OR: i32 = 0xea; // (a & b) | c
        // In the upper byte of a word a product drops what exceeds 256; times 3, the digit is carried out at the top.
        let even = _mm512_mullo_epi16(bytes, _mm512_slli_epi16::<8>(powers));
        let even = _mm512_mulhi_epu16(even, _mm512_set1_epi16(3));
        let odd = _mm512_and_si512(bytes, _mm512_set1_epi16(-256));
        let odd = _mm512_mulhi_epu16(_mm512_mullo_epi16(odd, powers), _mm512_set1_epi16(3 << 8));
        _mm512_ternarylogic_epi32::<AND_OR>(odd, _mm512_set1_epi16(0x300), even)
    }
}
