//! The rows of a panel's sixteen tokens, read with AVX-512, and the scales of their groups.

use std::arch::x86_64::*;

use super::int8::TOKENS_PER_PANEL;
use crate::matmul::InputRows;
use crate::scales::lane_factors;
use crate::transpose::largest_lanes;

/// The tokens of a panel; those beyond the last, and columns beyond the last, are read as zeros, and what is above a
/// token's limit counts as zero.
pub(super) struct Tokens {
    rows: [*const f32; TOKENS_PER_PANEL],
    /// Columns of each token: none of those beyond the last.
    cols: [usize; TOKENS_PER_PANEL],
    /// As bits, which order like the magnitudes.
    limits: [i32; TOKENS_PER_PANEL],
}

/// Scales of sixteen tokens, and what their elements are multiplied with.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub scales: __m512,
    pub inverses: [f32; TOKENS_PER_PANEL],
}

const MAGNITUDE: i32 = 0x7fff_ffff;

/// A limit's bits; without a limit, nothing is above, and neither is what is not a number.
fn bits(limit: f32) -> i32 {
    if limit == f32::INFINITY { i32::MAX } else { limit.to_bits() as i32 }
}

impl Tokens {
    /// # Safety
    /// Every row of `x` has `cols` elements.
    pub unsafe fn of_panel(x: InputRows<'_>, panel: usize, cols: usize, limits: [f32; TOKENS_PER_PANEL]) -> Tokens {
        let mut tokens =
            Tokens { rows: [x.data; TOKENS_PER_PANEL], cols: [0; TOKENS_PER_PANEL], limits: limits.map(bits) };
        for lane in 0..TOKENS_PER_PANEL {
            let token = panel * TOKENS_PER_PANEL + lane;
            if token < x.tokens {
                // SAFETY: the token is one of x's.
                tokens.rows[lane] = unsafe { x.row(token) };
                tokens.cols[lane] = cols;
            }
        }
        tokens
    }

    /// Sixteen elements of a token from `k` on.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn load(&self, token: usize, k: usize) -> __m512 {
        let rest = self.cols[token].saturating_sub(k).min(16);
        let mask = ((1u32 << rest) - 1) as u16;
        // SAFETY: of what lies beyond the token's columns nothing is read.
        unsafe { _mm512_maskz_loadu_ps(mask, self.rows[token].wrapping_add(k)) }
    }

    /// Sixteen elements of a token from `k` on, times a factor, rounded.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn round(&self, token: usize, k: usize, factor: f32) -> __m512i {
        // SAFETY: the caller's elements are.
        let x = unsafe { self.load(token, k) };
        let magnitudes = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(MAGNITUDE));
        let near = _mm512_cmple_epi32_mask(magnitudes, _mm512_set1_epi32(self.limits[token]));
        _mm512_maskz_cvtps_epi32(near, _mm512_mul_ps(x, _mm512_set1_ps(factor)))
    }

    /// The factors of every token for the `count` elements from `first` on, whose integers are at most `levels`.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn factors(&self, first: usize, count: usize, levels: f32) -> Factors {
        let magnitude = _mm512_set1_epi32(MAGNITUDE);
        let mut largest = [_mm512_setzero_si512(); TOKENS_PER_PANEL];
        for (token, largest) in largest.iter_mut().enumerate() {
            let limit = _mm512_set1_epi32(self.limits[token]);
            for k in (first..first + count).step_by(16) {
                // SAFETY: the caller's elements lie within the rows.
                let x = _mm512_castps_si512(unsafe { self.load(token, k) });
                // As integers, magnitudes order like the floats, and infinities and NaN come last.
                let x = _mm512_and_si512(x, magnitude);
                *largest = _mm512_mask_max_epi32(*largest, _mm512_cmple_epi32_mask(x, limit), *largest, x);
            }
        }
        let (scales, of_lanes) = lane_factors(_mm512_castsi512_ps(largest_lanes(&largest)), levels);
        let mut inverses = [0.0; TOKENS_PER_PANEL];
        // SAFETY: the array has sixteen floats.
        unsafe { _mm512_storeu_ps(inverses.as_mut_ptr(), of_lanes) };
        Factors { scales, inverses }
    }
}
