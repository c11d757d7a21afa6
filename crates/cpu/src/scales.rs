//! Scales of groups of numbers that are rounded to integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Below this a group counts as zero: its inverse would overflow.
const SMALLEST: f32 = 1e-30;

/// The scale of a group whose largest magnitude becomes `levels`, and what its elements are multiplied with: zero for a
/// group of zeros and for one that is not finite, whose scale is not either.
#[inline(always)]
pub(crate) fn group_factors(largest: f32, levels: f32) -> (f32, f32) {
    if (SMALLEST..f32::INFINITY).contains(&largest) {
        (largest / levels, levels / largest)
    } else {
        (if largest < SMALLEST { 0.0 } else { f32::NAN }, 0.0)
    }
}

/// [`group_factors`] of sixteen groups.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(crate) fn lane_factors(largest: __m512, levels: f32) -> (__m512, __m512) {
    // As integers, magnitudes order like the floats, and infinities and NaN come last.
    let bits = _mm512_castps_si512(_mm512_abs_ps(largest));
    let infinite = _mm512_cmpge_epi32_mask(bits, _mm512_set1_epi32(0x7f80_0000));
    let counts = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(largest, _mm512_set1_ps(SMALLEST)) & !infinite;
    let levels = _mm512_set1_ps(levels);
    let scales = _mm512_maskz_div_ps(counts, largest, levels);
    let scales = _mm512_mask_blend_ps(infinite, scales, _mm512_set1_ps(f32::NAN));
    (scales, _mm512_maskz_div_ps(counts, levels, largest))
}
