//! The frame for blocks of 32, 64 or 128: one group of 32 at a time, in the activations' own order.

use std::arch::x86_64::*;

use super::super::{RowsDot, Scales};
use super::{Stored, horizontal_sum, pairs, prefetch};
use crate::matmul::activation::RowView;
use crate::matmul::integers::Offsets;

/// One block type, as the frame reads it.
pub(super) trait Block32 {
    const BYTES: usize;
    /// Groups of 32 in a block.
    const GROUPS: usize = 1;
    const SCALES: Scales = Scales::PerGroup;
    const STORED: Stored;
    /// The stored value that stands for zero.
    const ZERO: i8;
    const OFFSETS: Offsets;
    /// Stored values of a group, in order.
    unsafe fn values(block: *const u8, group: usize) -> __m256i;
    /// The scale of a group, and the offset or the second half's scale if there is one, in the two lowest lanes.
    unsafe fn factors(block: *const u8, group: usize) -> __m128;
}

pub(super) struct Blocks32<B>(std::marker::PhantomData<B>);

impl<B: Block32> RowsDot for Blocks32<B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        const { assert!(matches!(B::SCALES, Scales::PerGroup) || matches!(B::OFFSETS, Offsets::None)) };
        // SAFETY: blocks stay below cols / 32, which rows and views cover; AVX2 is the caller's.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let mut sums = [[_mm256_setzero_ps(); T]; R];
            let mut offsets = [[_mm_setzero_ps(); T]; R];
            for group in 0..cols / 32 {
                let mut values = [_mm256_setzero_si256(); T];
                let mut above = [_mm256_setzero_si256(); T];
                let mut scales = [_mm256_setzero_ps(); T];
                for t in 0..T {
                    values[t] = _mm256_loadu_si256(x[t].values.add(32 * group).cast());
                    above[t] = _mm256_maddubs_epi16(_mm256_set1_epi8(B::ZERO), values[t]);
                    scales[t] = _mm256_set1_ps(*x[t].scales.add(group));
                }
                for r in 0..R {
                    let (at, part) = (rows[r].add(group / B::GROUPS * B::BYTES), group % B::GROUPS);
                    if part == 0 {
                        prefetch(at);
                    }
                    let w = B::values(at, part);
                    let factors = B::factors(at, part);
                    let scale = match B::SCALES {
                        Scales::PerGroup => _mm256_broadcastss_ps(factors),
                        Scales::PerHalf => {
                            let halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
                            _mm256_permutevar8x32_ps(_mm256_castps128_ps256(factors), halves)
                        }
                    };
                    for t in 0..T {
                        let mut products = pairs(B::STORED, w, values[t]);
                        if B::ZERO != 0 {
                            products = _mm256_sub_epi16(products, above[t]);
                        }
                        let products = _mm256_cvtepi32_ps(_mm256_madd_epi16(products, ones));
                        sums[r][t] = _mm256_fmadd_ps(products, _mm256_mul_ps(scale, scales[t]), sums[r][t]);
                        if B::OFFSETS == Offsets::PerGroup {
                            let of_x = _mm_load_ss(x[t].scaled_sums.add(group));
                            offsets[r][t] = _mm_fmadd_ss(_mm_movehdup_ps(factors), of_x, offsets[r][t]);
                        }
                    }
                }
            }
            let mut out = [[0.0; T]; R];
            for r in 0..R {
                for t in 0..T {
                    out[r][t] = horizontal_sum(sums[r][t]);
                    if B::OFFSETS == Offsets::PerGroup {
                        out[r][t] += _mm_cvtss_f32(offsets[r][t]);
                    }
                }
            }
            out
        }
    }
}
