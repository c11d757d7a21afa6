//! How the smaller lattices are read: IQ2_XXS, IQ2_XS and IQ3. Signs are masks on the activations.
//!
//! A point is looked up as a code of 16 bits, and a vector takes the same few bits of every byte of the codes. So its
//! values lie four or two elements apart; the activations are brought to that order, not the values to theirs.

mod points;

use std::arch::x86_64::*;

use super::super::lattice::words;
use super::k_quants::half;
use super::{Block, Chains, Read, Signs};
use crate::matmul::activation::RowOrder;

pub(in crate::matmul) struct Iq2Xxs;
pub(in crate::matmul) struct Iq2Xs;
pub(in crate::matmul) struct Iq3Xxs;
pub(in crate::matmul) struct Iq3S;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl Block for Iq2Xxs {
    const BYTES: usize = 66;
    const ORDER: RowOrder = RowOrder::Fourths;
    const CHAINS: Chains = Chains::One;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            // Of each group's eight bytes, four are indices; the others four times seven bits, and four.
            let groups = _mm512_loadu_si512(block.add(2).cast());
            let indices = _mm_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1);
            let indices = _mm512_shuffle_epi8(groups, _mm512_broadcast_i32x4(indices));
            let places = _mm_setr_epi8(4, 5, 4, 5, 5, 6, 6, 7, 12, 13, 12, 13, 13, 14, 14, 15);
            let places = _mm512_shuffle_epi8(groups, _mm512_broadcast_i32x4(places));
            let sevens = _mm512_srlv_epi16(places, _mm512_set1_epi64(0x0005_0006_0007_0000));
            let sevens = _mm512_and_si512(sevens, _mm512_set1_epi16(127));
            // Each group's number for both of its lanes.
            let four_bits = _mm512_shuffle_epi32::<0b11_11_01_01>(_mm512_srli_epi32::<28>(groups));
            let scales = raised_scales(four_bits, block, 0.125);
            Read {
                values: points::IQ2_XXS.of_eight(indices),
                scales: [scales; 2],
                minimums: _mm256_setzero_ps(),
                signs: of_fourths(with_parity(sevens)),
            }
        }
    }
}

impl Block for Iq2Xs {
    const BYTES: usize = 74;
    const ORDER: RowOrder = RowOrder::Fourths;
    const CHAINS: Chains = Chains::One;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let words = _mm512_loadu_si512(block.add(2).cast());
            let indices = _mm512_and_si512(words, _mm512_set1_epi16(511));
            // A byte's two nibbles in two lanes.
            let bytes = _mm512_cvtepu8_epi64(_mm_loadl_epi64(block.add(66).cast()));
            let nibbles = _mm512_or_si512(bytes, _mm512_slli_epi64::<28>(bytes));
            let four_bits = _mm512_and_si512(nibbles, _mm512_set1_epi32(15));
            Read {
                values: points::IQ2_XS.of_eight(indices),
                scales: [raised_scales(four_bits, block, 0.125); 2],
                minimums: _mm256_setzero_ps(),
                signs: of_fourths(with_parity(_mm512_srli_epi16::<9>(words))),
            }
        }
    }
}

impl Block for Iq3Xxs {
    const BYTES: usize = 98;
    const ORDER: RowOrder = RowOrder::Halves;
    const CHAINS: Chains = Chains::Two;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let [a, b] = points::IQ3_XXS.of_four(words(block.add(2)));
            let [c, d] = points::IQ3_XXS.of_four(words(block.add(34)));
            // A group's word in each lane.
            let groups = _mm512_castsi256_si512(_mm256_loadu_si256(block.add(66).cast()));
            let low = _mm512_permutexvar_epi32(of_lanes(0), groups);
            let high = _mm512_permutexvar_epi32(of_lanes(4), groups);
            let scales = [
                raised_scales(_mm512_srli_epi32::<28>(low), block, 0.25),
                raised_scales(_mm512_srli_epi32::<28>(high), block, 0.25),
            ];
            let [even, odd] = of_halves(with_parity(four_sevens(low)), &FIRST_OF_FOUR);
            let [next_even, next_odd] = of_halves(with_parity(four_sevens(high)), &FIRST_OF_FOUR);
            Read {
                values: [
                    points::iq3_xxs_values(a),
                    points::iq3_xxs_values(b),
                    points::iq3_xxs_values(c),
                    points::iq3_xxs_values(d),
                ],
                scales,
                minimums: _mm256_setzero_ps(),
                signs: [even, odd, next_even, next_odd],
            }
        }
    }
}

impl Block for Iq3S {
    const BYTES: usize = 110;
    const ORDER: RowOrder = RowOrder::Halves;
    const CHAINS: Chains = Chains::Two;
    const SIGNS: Signs = Signs::Apart;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let ninth = |half: usize| block.add(66 + 4 * half).cast::<u32>().read_unaligned();
            let bit = _mm512_set1_epi16(256);
            let (first, second) = (words(block.add(2)), words(block.add(34)));
            let [a, b] = points::IQ3_S.of_four(_mm512_mask_add_epi16(first, ninth(0), first, bit));
            let [c, d] = points::IQ3_S.of_four(_mm512_mask_add_epi16(second, ninth(1), second, bit));
            let signs = _mm512_broadcast_i32x4(_mm_loadu_si128(block.add(74).cast()));
            let [even, odd] = of_halves(signs, &FOUR_OF_EACH_LANE);
            let signs = _mm512_broadcast_i32x4(_mm_loadu_si128(block.add(90).cast()));
            let [next_even, next_odd] = of_halves(signs, &FOUR_OF_EACH_LANE);
            // Eight nibbles, each in the lanes of its group.
            let nibbles = _mm512_set1_epi32(block.add(106).cast::<i32>().read_unaligned());
            let moved = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
            let (low, high) = (_mm512_srlv_epi32(nibbles, moved), _mm512_srli_epi32::<16>(nibbles));
            let high = _mm512_srlv_epi32(high, moved);
            let nibble = _mm512_set1_epi32(15);
            Read {
                values: [a, b, c, d],
                scales: [
                    raised_scales(_mm512_and_si512(low, nibble), block, 1.0),
                    raised_scales(_mm512_and_si512(high, nibble), block, 1.0),
                ],
                minimums: _mm256_setzero_ps(),
                signs: [even, odd, next_even, next_odd],
            }
        }
    }
}

/// Twice the numbers, plus one, times the block's scale and a unit.
#[inline(always)]
unsafe fn raised_scales(numbers: __m512i, block: *const u8, unit: f32) -> __m512 {
    // SAFETY: the caller's block begins with a half; AVX-512 is the caller's.
    unsafe {
        let odd = _mm512_fmadd_ps(_mm512_cvtepi32_ps(numbers), _mm512_set1_ps(2.0 * unit), _mm512_set1_ps(unit));
        _mm512_mul_ps(odd, half(block))
    }
}

/// For each 128-bit lane one number, from `first` on.
#[inline(always)]
unsafe fn of_lanes(first: i32) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
        _mm512_add_epi32(lanes, _mm512_set1_epi32(first))
    }
}

/// The four times seven bits of a lane's word.
#[inline(always)]
unsafe fn four_sevens(words: __m512i) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let places = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 7, 14, 21));
        _mm512_and_si512(_mm512_srlv_epi32(words, places), _mm512_set1_epi32(127))
    }
}

/// Sets the eighth bit of seven in words or longer, so that the number of ones is even.
#[inline(always)]
unsafe fn with_parity(sevens: __m512i) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let folded = _mm512_xor_si512(sevens, _mm512_srli_epi16::<4>(sevens));
        let top = -128;
        let odd = _mm_setr_epi8(0, top, top, 0, top, 0, 0, top, top, 0, 0, top, 0, top, top, 0);
        let nibbles = _mm512_and_si512(folded, _mm512_set1_epi8(15));
        _mm512_or_si512(sevens, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(odd), nibbles))
    }
}

/// The masks of the vectors in [`RowOrder::Fourths`] from a word for each eight elements.
#[inline(always)]
unsafe fn of_fourths(words: __m512i) -> [u64; 4] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        // The second four bits to the second byte.
        let nibbles = _mm512_or_si512(words, _mm512_slli_epi16::<4>(words));
        let bit = |i: u32| _mm512_test_epi8_mask(nibbles, _mm512_set1_epi8(1 << i));
        [bit(0), bit(1), bit(2), bit(3)]
    }
}

/// The masks of two vectors in [`RowOrder::Halves`], from bytes for each eight elements; `places` says where in each
/// lane they are.
#[inline(always)]
unsafe fn of_halves(bytes: __m512i, places: &[i8; 64]) -> [u64; 2] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let bytes = _mm512_shuffle_epi8(bytes, _mm512_loadu_si512(places.as_ptr().cast()));
        let (even, odd) = (_mm512_set1_epi32(0x4010_0401), _mm512_set1_epi32(0x8020_0802u32 as i32));
        [_mm512_test_epi8_mask(bytes, even), _mm512_test_epi8_mask(bytes, odd)]
    }
}

/// The first byte of every four.
static FIRST_OF_FOUR: [i8; 64] = quarters(false);
/// Of each lane the four bytes that have the lane's number.
static FOUR_OF_EACH_LANE: [i8; 64] = quarters(true);

/// Each byte four times: four apart, or the lane's four of sixteen.
const fn quarters(of_lane: bool) -> [i8; 64] {
    let mut places = [0; 64];
    let mut i = 0;
    while i < 64 {
        let quarter = i % 16 / 4;
        places[i] = (if of_lane { 4 * (i / 16) + quarter } else { 4 * quarter }) as i8;
        i += 1;
    }
    places
}
