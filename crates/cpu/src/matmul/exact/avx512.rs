//! The exact kernel with AVX-512: 4 rows by 4 tokens of sixteen lanes.

use std::arch::x86_64::*;

use super::{DecodedTile, FloatVector, OutputRows, tile_loops};

#[derive(Clone, Copy)]
struct Lanes16(__m512);

impl FloatVector for Lanes16 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: only called from `multiply_tile`, which has AVX-512.
        Lanes16(unsafe { _mm512_setzero_ps() })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as `zero`; the caller has sixteen readable floats.
        Lanes16(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn multiply_add(self, b: Self, sum: Self) -> Self {
        // SAFETY: as `zero`.
        Lanes16(unsafe { _mm512_fmadd_ps(self.0, b.0, sum.0) })
    }

    #[inline(always)]
    unsafe fn horizontal_sum(self) -> f32 {
        // SAFETY: as `zero`.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
}

/// # Safety
/// The machine has AVX-512; the rest is as [`super::MultiplyTile`] says.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn multiply_tile(
    tile: DecodedTile,
    x: *const f32,
    x_stride: usize,
    tokens: usize,
    out: OutputRows<'_>,
) {
    // SAFETY: the caller vouches for the same.
    unsafe { tile_loops::<Lanes16, 4, 4>(tile, x, x_stride, tokens, out) }
}
