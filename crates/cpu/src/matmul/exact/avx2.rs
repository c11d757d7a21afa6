//! The exact kernel with AVX2 and FMA: 4 rows by 2 tokens of eight lanes.

use std::arch::x86_64::*;

use super::{DecodedTile, FloatVector, OutputRows, tile_loops};

#[derive(Clone, Copy)]
struct Lanes8(__m256);

impl FloatVector for Lanes8 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: only called from `multiply_tile`, which has AVX2.
        Lanes8(unsafe { _mm256_setzero_ps() })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as `zero`; the caller has eight readable floats.
        Lanes8(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn multiply_add(self, b: Self, sum: Self) -> Self {
        // SAFETY: as `zero`, with FMA.
        Lanes8(unsafe { _mm256_fmadd_ps(self.0, b.0, sum.0) })
    }

    #[inline(always)]
    unsafe fn horizontal_sum(self) -> f32 {
        // SAFETY: as `zero`.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}

/// # Safety
/// The machine has AVX2 and FMA; the rest is as [`super::MultiplyTile`] says.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn multiply_tile(
    tile: DecodedTile,
    x: *const f32,
    x_stride: usize,
    tokens: usize,
    out: OutputRows<'_>,
) {
    // SAFETY: the caller vouches for the same.
    unsafe { tile_loops::<Lanes8, 4, 2>(tile, x, x_stride, tokens, out) }
}
