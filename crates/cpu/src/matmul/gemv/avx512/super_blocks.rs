//! The frame for super-blocks of 256 with integer sub-block scales.
//!
//! A lane of the first-level dot product sums four products, which stay below 2^15: one product of 16 bits multiplies it by its
//! integer scale and accumulates, exactly. One float multiplication per super-block remains.

use std::arch::x86_64::*;

use super::super::{RowsDot, Signs};
use super::dot_products::DotProducts;
use super::{negated, prefetch};
use crate::matmul::activation::RowView;
use crate::matmul::ahead;

/// One super-block type, as the frame reads it.
pub(in crate::matmul) trait SuperBlock {
    const BYTES: usize;
    const CORRECTION: Correction;
    const SUMS: SumsOfFour = SumsOfFour::Narrow;
    const SIGNS: Signs = Signs::InValues;
    unsafe fn read(block: *const u8) -> Read;
}

/// How large four products of stored values and activations add up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::matmul) enum SumsOfFour {
    /// Below 2^15: stored values of at most 64.
    Narrow,
    /// The stored values contain their scales.
    Scaled,
}

/// What is taken off the product of the stored values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::matmul) enum Correction {
    None,
    /// The stored values' zero, `1 << shift`, times the 16 sub-block scales.
    Zero {
        shift: u32,
    },
    /// Sixteen sub-block minimums, with a factor of their own.
    Minimums16,
}

/// A super-block taken apart.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Read {
    /// Stored values, unsigned, in order.
    pub values: [__m512i; 4],
    /// The integer scale of each 32-bit lane of `values`: where sums are narrow, in its low 16 bits, the high ones zero.
    pub scales: [__m512i; 4],
    /// 16-bit factors of the activations' sums: the scales, or the minimums.
    pub of_sums: __m256i,
    /// The scale, and the factor of the minimums.
    pub factors: __m128,
    /// Where signs are apart, the elements whose stored values are negated.
    pub signs: [u64; 4],
}

pub(super) struct SuperBlocks<B, D>(std::marker::PhantomData<(B, D)>);

/// The sums of some rows with `T` tokens on their way.
#[derive(Clone, Copy)]
struct Sums<const T: usize> {
    products: [__m512; T],
    minimums: [__m256; T],
}

impl<B: SuperBlock, D: DotProducts> RowsDot for SuperBlocks<B, D> {
    #[inline(always)]
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        const { assert!(matches!(R, 1 | 2 | 4), "rows alone or in pairs") };
        // SAFETY: blocks stay below cols / 256; AVX-512 is the caller's.
        unsafe {
            let ahead = ahead::bytes();
            let mut sums = [Sums { products: [_mm512_setzero_ps(); T], minimums: [_mm256_setzero_ps(); T] }; R];
            for block in 0..cols / 256 {
                let at = |r: usize| rows[r].add(block * B::BYTES);
                match R {
                    1 => step::<B, D, 1, T>(&mut sums, 0, [at(0)], block, x, ahead),
                    _ => step::<B, D, 2, T>(&mut sums, 0, [at(0), at(1)], block, x, ahead),
                }
                if R == 4 {
                    step::<B, D, 2, T>(&mut sums, 2, [at(2), at(3)], block, x, ahead);
                }
            }
            let mut out = [[0.0; T]; R];
            for (out, sums) in out.iter_mut().zip(sums) {
                for (t, out) in out.iter_mut().enumerate() {
                    let below = _mm512_castpd_ps(_mm512_zextpd256_pd512(_mm256_castps_pd(sums.minimums[t])));
                    *out = _mm512_reduce_add_ps(_mm512_sub_ps(sums.products[t], below));
                }
            }
            out
        }
    }
}

/// A block of `P` rows, those from `first` on. Two rows at a time keep more of the machine busy than one, whose every
/// step waits for the one before.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn step<B: SuperBlock, D: DotProducts, const P: usize, const T: usize>(
    sums: &mut [Sums<T>],
    first: usize,
    blocks: [*const u8; P],
    block: usize,
    x: [RowView; T],
    ahead: usize,
) {
    // SAFETY: the caller's pointers have a whole block, the views the block's elements; AVX-512 is the caller's.
    unsafe {
        let mut reads = [B::read(blocks[0]); P];
        for p in 0..P {
            match B::BYTES {
                0..=128 => prefetch::<128>(blocks[p], ahead),
                129..=192 => prefetch::<192>(blocks[p], ahead),
                _ => prefetch::<256>(blocks[p], ahead),
            }
            if p > 0 {
                reads[p] = B::read(blocks[p]);
            }
        }
        let mut products = [[_mm512_setzero_si512(); T]; P];
        for i in 0..4 {
            for t in 0..T {
                let values = _mm512_loadu_si512(x[t].values.add(block * 256 + 64 * i).cast());
                for p in 0..P {
                    let x = match B::SIGNS {
                        Signs::InValues => values,
                        Signs::Apart => negated(values, reads[p].signs[i]),
                    };
                    let (w, sum) = (reads[p].values[i], products[p][t]);
                    products[p][t] = match B::SUMS {
                        SumsOfFour::Narrow => {
                            let of_four = D::add(_mm512_setzero_si512(), w, x);
                            D::add_pairs(sum, of_four, reads[p].scales[i])
                        }
                        SumsOfFour::Scaled => D::add(sum, w, x),
                    };
                }
            }
        }
        for t in 0..T {
            let scale = _mm_set1_ps(*x[t].scales.add(block * 8));
            for p in 0..P {
                let (read, sums) = (&reads[p], &mut sums[first + p]);
                let mut sum = products[p][t];
                let factors = _mm_mul_ps(read.factors, scale);
                let below = match B::CORRECTION {
                    Correction::None => _mm256_setzero_si256(),
                    Correction::Zero { .. } | Correction::Minimums16 => {
                        let sums16 = _mm256_loadu_si256(x[t].sums16.add(block * 16).cast());
                        _mm256_madd_epi16(read.of_sums, sums16)
                    }
                };
                match B::CORRECTION {
                    Correction::None => {}
                    Correction::Zero { shift } => {
                        let below = _mm256_sll_epi32(below, _mm_cvtsi32_si128(shift as i32));
                        sum = _mm512_sub_epi32(sum, _mm512_zextsi256_si512(below));
                    }
                    Correction::Minimums16 => {
                        let factor = _mm256_broadcastss_ps(_mm_movehdup_ps(factors));
                        sums.minimums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(below), factor, sums.minimums[t]);
                    }
                }
                let factor = _mm512_broadcastss_ps(factors);
                sums.products[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, sums.products[t]);
            }
        }
    }
}

/// Sixteen 16-bit scales of 16 elements each, by lane: in the low half of every 32-bit lane, the other zero.
#[inline(always)]
pub(super) unsafe fn lanes_of_16(scales: __m256i) -> [__m512i; 4] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let sixteen = _mm512_cvtepu16_epi32(scales);
        let mut by_lane = [_mm512_setzero_si512(); 4];
        for (i, by_lane) in by_lane.iter_mut().enumerate() {
            let first = _mm512_set1_epi32(4 * i as i32);
            let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
            *by_lane = _mm512_permutexvar_epi32(_mm512_add_epi32(first, lanes), sixteen);
        }
        by_lane
    }
}
