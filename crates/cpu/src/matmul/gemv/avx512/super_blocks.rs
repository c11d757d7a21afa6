//! The frame for super-blocks of 256 with integer sub-block scales.
//!
//! A lane of the first-level dot product sums four products and stays below 2^15, so one `vpdpwssd` multiplies it by
//! its integer scale and accumulates, exactly. One float multiplication per super-block remains.

use std::arch::x86_64::*;

use super::super::RowsDot;
use super::prefetch;
use crate::matmul::activation::RowView;

/// One super-block type, as the frame reads it.
pub(super) trait SuperBlock {
    const BYTES: usize;
    const CORRECTION: Correction;
    unsafe fn read(block: *const u8) -> Read;
}

/// What is taken off the product of the stored values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    /// The stored values' zero, `1 << shift`, times the 16 sub-block scales.
    Zero { shift: u32 },
    /// Eight sub-block minimums, with a factor of their own.
    Minimums,
}

/// A super-block taken apart.
#[derive(Clone, Copy)]
pub(super) struct Read {
    /// Stored values, unsigned, in order.
    pub values: [__m512i; 4],
    /// The integer scale of each 32-bit lane of `values`, in its low 16 bits; the high ones are zero.
    pub scales: [__m512i; 4],
    /// 16-bit factors of the activations' sums: the 16 scales, or the 8 minimums.
    pub of_sums: __m256i,
    /// The scale, and the factor of the minimums.
    pub factors: __m128,
}

pub(super) struct SuperBlocks<B>(std::marker::PhantomData<B>);

impl<B: SuperBlock> RowsDot for SuperBlocks<B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        // SAFETY: blocks stay below cols / 256; AVX-512 is the caller's.
        unsafe {
            let mut products = [[_mm512_setzero_ps(); T]; R];
            let mut minimums = [[_mm_setzero_ps(); T]; R];
            for block in 0..cols / 256 {
                for r in 0..R {
                    let at = rows[r].add(block * B::BYTES);
                    match B::BYTES {
                        0..=128 => prefetch::<128>(at),
                        129..=192 => prefetch::<192>(at),
                        _ => prefetch::<256>(at),
                    }
                    let read = B::read(at);
                    for t in 0..T {
                        let values = x[t].values.add(block * 256);
                        let mut sum = _mm512_setzero_si512();
                        for i in 0..4 {
                            let x = _mm512_loadu_si512(values.add(64 * i).cast());
                            let dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), read.values[i], x);
                            sum = _mm512_dpwssd_epi32(sum, dot, read.scales[i]);
                        }
                        let factors = _mm_mul_ps(read.factors, _mm_set1_ps(*x[t].scales.add(block * 8)));
                        match B::CORRECTION {
                            Correction::Zero { shift } => {
                                let sums = _mm256_loadu_si256(x[t].sums16.add(block * 16).cast());
                                let above = _mm256_madd_epi16(read.of_sums, sums);
                                let above = _mm256_sll_epi32(above, _mm_cvtsi32_si128(shift as i32));
                                sum = _mm512_sub_epi32(sum, _mm512_zextsi256_si512(above));
                            }
                            Correction::Minimums => {
                                let sums = _mm_loadu_si128(x[t].sums32.add(block * 8).cast());
                                let below = _mm_madd_epi16(_mm256_castsi256_si128(read.of_sums), sums);
                                let factor = _mm_shuffle_ps::<0x55>(factors, factors);
                                minimums[r][t] = _mm_fmadd_ps(_mm_cvtepi32_ps(below), factor, minimums[r][t]);
                            }
                        }
                        let factor = _mm512_broadcastss_ps(factors);
                        products[r][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, products[r][t]);
                    }
                }
            }
            let mut out = [[0.0; T]; R];
            for r in 0..R {
                for t in 0..T {
                    let mut sum = products[r][t];
                    if B::CORRECTION == Correction::Minimums {
                        sum = _mm512_sub_ps(sum, _mm512_zextps128_ps512(minimums[r][t]));
                    }
                    out[r][t] = _mm512_reduce_add_ps(sum);
                }
            }
            out
        }
    }
}
