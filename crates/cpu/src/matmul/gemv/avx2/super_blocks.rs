//! The frame for super-blocks of 256: pairs of products fit 16 bits, and one `vpmaddwd` scales and adds them.

use std::arch::x86_64::*;

use super::super::{RowsDot, Signs};
use super::{Stored, bytes_of_bits, horizontal_sum, pairs, prefetch};
use crate::matmul::activation::RowView;

/// One super-block type, as the frame reads it.
pub(super) trait SuperBlock {
    const BYTES: usize;
    const STORED: Stored;
    const CORRECTION: Correction;
    const SIGNS: Signs = Signs::InValues;
    unsafe fn header(block: *const u8) -> Header;
    /// Where signs are apart, a bit for each element.
    #[inline(always)]
    unsafe fn signs(_block: *const u8) -> __m256i {
        // SAFETY: the frame runs with AVX2.
        unsafe { _mm256_setzero_si256() }
    }
    /// Stored values of the 32 elements `part`.
    unsafe fn values(block: *const u8, part: usize) -> __m256i;
}

/// What is taken off the product of the stored values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    None,
    /// The stored values' zero, `1 << shift`, times the 16 scales.
    Zero {
        shift: u32,
    },
    /// Minimums of 8 sub-blocks, with a factor of their own.
    Minimums8,
    /// Minimums of 16 sub-blocks, with a factor of their own.
    Minimums16,
}

/// The scales of a super-block.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// 16-bit scales: number `part` of each half belongs to the first and last 16 elements of a part.
    pub scales: __m256i,
    /// 16-bit factors of the activations' sums: scales or minimums, in order.
    pub of_sums: __m256i,
    /// The scale, and the factor of the minimums.
    pub factors: __m128,
}

pub(super) struct SuperBlocks<B>(std::marker::PhantomData<B>);

impl<B: SuperBlock> RowsDot for SuperBlocks<B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        // SAFETY: blocks stay below cols / 256, which rows and views cover; AVX2 is the caller's.
        unsafe {
            let mut products = [[_mm256_setzero_ps(); T]; R];
            let mut minimums = [[_mm256_setzero_ps(); T]; R];
            for block in 0..cols / 256 {
                for r in 0..R {
                    let at = rows[r].add(block * B::BYTES);
                    let header = B::header(at);
                    let signs = B::signs(at);
                    let mut sums = [_mm256_setzero_si256(); T];
                    for part in 0..8 {
                        if part * 64 < B::BYTES {
                            prefetch(at.wrapping_add(part * 64));
                        }
                        let w = B::values(at, part);
                        let pick = _mm256_set1_epi16(((2 * part + 1) << 8 | (2 * part)) as i16);
                        let scales = _mm256_shuffle_epi8(header.scales, pick);
                        let signs = match B::SIGNS {
                            Signs::InValues => signs,
                            Signs::Apart => sign_bytes(signs, part),
                        };
                        for t in 0..T {
                            let mut x = _mm256_loadu_si256(x[t].values.add(block * 256 + part * 32).cast());
                            if B::SIGNS == Signs::Apart {
                                x = _mm256_sign_epi8(x, signs);
                            }
                            let scaled = _mm256_madd_epi16(pairs(B::STORED, w, x), scales);
                            sums[t] = _mm256_add_epi32(sums[t], scaled);
                        }
                    }
                    for t in 0..T {
                        let factors = _mm_mul_ps(header.factors, _mm_set1_ps(*x[t].scales.add(block * 8)));
                        let sums16 = _mm256_loadu_si256(x[t].sums16.add(block * 16).cast());
                        let below = match B::CORRECTION {
                            Correction::None => _mm256_setzero_si256(),
                            Correction::Zero { .. } | Correction::Minimums16 => {
                                _mm256_madd_epi16(header.of_sums, sums16)
                            }
                            Correction::Minimums8 => {
                                let sums32 = _mm_loadu_si128(x[t].sums32.add(block * 8).cast());
                                let of_sums = _mm256_castsi256_si128(header.of_sums);
                                _mm256_zextsi128_si256(_mm_madd_epi16(of_sums, sums32))
                            }
                        };
                        match B::CORRECTION {
                            Correction::None => {}
                            Correction::Zero { shift } => {
                                let below = _mm256_sll_epi32(below, _mm_cvtsi32_si128(shift as i32));
                                sums[t] = _mm256_sub_epi32(sums[t], below);
                            }
                            Correction::Minimums8 | Correction::Minimums16 => {
                                let factor = _mm256_broadcastss_ps(_mm_movehdup_ps(factors));
                                minimums[r][t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(below), factor, minimums[r][t]);
                            }
                        }
                        let factor = _mm256_broadcastss_ps(factors);
                        products[r][t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t]), factor, products[r][t]);
                    }
                }
            }
            let mut out = [[0.0; T]; R];
            for r in 0..R {
                for t in 0..T {
                    out[r][t] = horizontal_sum(_mm256_sub_ps(products[r][t], minimums[r][t]));
                }
            }
            out
        }
    }
}

/// The 32 signs of a part, from a bit for each element: 1 or −1.
#[inline(always)]
unsafe fn sign_bytes(bits: __m256i, part: usize) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        let bits = _mm256_permutevar8x32_epi32(bits, _mm256_set1_epi32(part as i32));
        _mm256_or_si256(bytes_of_bits(bits), _mm256_set1_epi8(1))
    }
}
