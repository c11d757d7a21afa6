//! Sixteen F32 with AVX-512 (F, BW, DQ, VL).

use std::arch::x86_64::*;

use super::Lanes;
use crate::transpose::transpose;

/// Sixteen numbers.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(pub(crate) __m512);

/// Instructions of the level on existing vectors.
macro_rules! with_avx512 {
    ($work:expr) => {{
        // SAFETY: a vector exists, so the machine has the level (see the invariant of `lanes`).
        unsafe { $work }
    }};
}

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count <= 16);
    ((1u32 << count) - 1) as __mmask16
}

impl Lanes for Avx512 {
    const LANES: usize = 16;
    const REGISTERS: usize = 32;
    type Mask = __mmask16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the machine has the level, says the caller.
        Avx512(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: readable for sixteen numbers, says the caller.
        Avx512(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: only the first `count` numbers are touched.
        Avx512(unsafe { _mm512_maskz_loadu_ps(first(count), from) })
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: readable for sixteen numbers, says the caller.
        Avx512(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) })
    }

    #[inline(always)]
    unsafe fn widen_f16(bits: u16) -> f32 {
        // SAFETY: the machine has the level, says the caller.
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: readable for sixteen numbers, says the caller.
        Avx512(unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        })
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: readable for sixteen numbers, says the caller.
        Avx512(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: writable for sixteen numbers, says the caller.
        unsafe { _mm512_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: only the first `count` numbers are touched.
        unsafe { _mm512_mask_storeu_ps(to, first(count), self.0) };
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16) {
        // SAFETY: writable for sixteen numbers, says the caller.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0)) };
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8) {
        // SAFETY: writable for sixteen bytes, says the caller.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtsepi32_epi8(_mm512_cvttps_epi32(self.0))) };
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint that never faults; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Avx512(with_avx512!(_mm512_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Avx512(with_avx512!(_mm512_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Avx512(with_avx512!(_mm512_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Avx512(with_avx512!(_mm512_div_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Avx512(with_avx512!(_mm512_fmadd_ps(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn subtract_from(self, factor: Self, minuend: Self) -> Self {
        Avx512(with_avx512!(_mm512_fnmadd_ps(self.0, factor.0, minuend.0)))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Avx512(with_avx512!(_mm512_min_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Avx512(with_avx512!(_mm512_max_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn round(self) -> Self {
        Avx512(with_avx512!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }

    #[inline(always)]
    fn scale_by_power(self, power: Self) -> Self {
        Avx512(with_avx512!(_mm512_scalef_ps(self.0, power.0)))
    }

    #[inline(always)]
    fn less(self, other: Self) -> __mmask16 {
        with_avx512!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0))
    }

    #[inline(always)]
    fn any(mask: __mmask16) -> bool {
        mask != 0
    }

    #[inline(always)]
    fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        Avx512(with_avx512!(_mm512_mask_blend_ps(mask, no.0, yes.0)))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        with_avx512!(_mm512_reduce_add_ps(self.0))
    }

    #[inline(always)]
    fn sum_each(vectors: [Self; 4]) -> [f32; 4] {
        with_avx512!({
            let [a, b, c, d] =
                vectors.map(|v| _mm256_add_ps(_mm512_castps512_ps256(v.0), _mm512_extractf32x8_ps::<1>(v.0)));
            super::avx2::sums_of_four(a, b, c, d)
        })
    }

    #[inline(always)]
    fn maximum(self) -> f32 {
        with_avx512!(_mm512_reduce_max_ps(self.0))
    }

    #[inline(always)]
    unsafe fn transpose(from: [*const f32; 16], to: [*mut f32; 16]) {
        // SAFETY: says the caller, of the machine and the pointers.
        unsafe {
            let mut vectors = [_mm512_setzero_si512(); 16];
            for (vector, from) in vectors.iter_mut().zip(from) {
                *vector = _mm512_loadu_si512(from.cast());
            }
            transpose(&mut vectors);
            for (vector, to) in vectors.into_iter().zip(to) {
                _mm512_storeu_si512(to.cast(), vector);
            }
        }
    }
}
