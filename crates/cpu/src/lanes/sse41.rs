//! Four F32 with SSE4.1.

use std::arch::x86_64::*;

use super::Lanes;

/// Four numbers.
#[derive(Clone, Copy)]
pub(crate) struct Sse41(pub(crate) __m128);

/// Instructions of the level on existing vectors.
macro_rules! with_sse41 {
    ($work:expr) => {{
        // SAFETY: a vector exists, so the machine has the level (see the invariant of `lanes`).
        unsafe { $work }
    }};
}

impl Lanes for Sse41 {
    const LANES: usize = 4;
    const REGISTERS: usize = 16;
    type Mask = __m128;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the machine has the level, says the caller.
        Sse41(unsafe { _mm_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Sse41(unsafe { _mm_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 4];
        // SAFETY: readable for `count` numbers, which is less than four.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        unsafe {
            let bits = _mm_cvtepu16_epi32(_mm_loadl_epi64(from.cast()));
            let magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fff));
            let sign = _mm_slli_epi32::<16>(_mm_xor_si128(bits, magnitude));
            let shifted = _mm_slli_epi32::<13>(magnitude);
            let normal = _mm_add_epi32(shifted, _mm_set1_epi32(112 << 23)); // exponent bias 15 to 127
            let infinite = _mm_or_si128(shifted, _mm_set1_epi32(0x7f80_0000));
            // As integers times 2^-24: no operand is subnormal, so none is lost where those count as zero.
            let subnormal = _mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(1.0 / 16_777_216.0));
            let is_infinite = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));
            let is_subnormal = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x0400));
            let value = _mm_blendv_epi8(normal, infinite, is_infinite);
            let value = _mm_blendv_epi8(value, _mm_castps_si128(subnormal), is_subnormal);
            Sse41(_mm_castsi128_ps(_mm_or_si128(value, sign)))
        }
    }

    #[inline(always)]
    unsafe fn widen_f16(bits: u16) -> f32 {
        crate::matmul::half_to_f32(bits)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Sse41(unsafe { _mm_castsi128_ps(_mm_slli_epi32::<16>(_mm_cvtepu16_epi32(_mm_loadl_epi64(from.cast())))) })
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Sse41(unsafe {
            let four = _mm_cvtsi32_si128(from.cast::<i32>().read_unaligned());
            _mm_cvtepi32_ps(_mm_cvtepi8_epi32(four))
        })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: writable for four numbers, says the caller.
        unsafe { _mm_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0; 4];
        // SAFETY: writable for `count` numbers, which is less than four.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16) {
        let mut lanes = [0.0; 4];
        // SAFETY: the array has four numbers, and `to` is writable for as many.
        unsafe {
            self.store(lanes.as_mut_ptr());
            to.cast::<[u16; 4]>().write_unaligned(lanes.map(|value| half::f16::from_f32(value).to_bits()));
        }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8) {
        // SAFETY: writable for four bytes, says the caller.
        unsafe {
            let words = _mm_packs_epi32(_mm_cvttps_epi32(self.0), _mm_setzero_si128());
            let bytes = _mm_cvtsi128_si32(_mm_packs_epi16(words, words));
            to.cast::<i32>().write_unaligned(bytes);
        }
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint that never faults; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Sse41(with_sse41!(_mm_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Sse41(with_sse41!(_mm_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Sse41(with_sse41!(_mm_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Sse41(with_sse41!(_mm_div_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Sse41(with_sse41!(_mm_min_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Sse41(with_sse41!(_mm_max_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn round(self) -> Self {
        Sse41(with_sse41!(_mm_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }

    #[inline(always)]
    fn scale_by_power(self, power: Self) -> Self {
        // In two halves: 2^power itself may be outside the range of F32.
        Sse41(with_sse41!({
            let power = _mm_cvtps_epi32(power.0);
            let half = _mm_srai_epi32::<1>(power);
            let rest = _mm_sub_epi32(power, half);
            let bias = _mm_set1_epi32(127);
            let first = _mm_castsi128_ps(_mm_slli_epi32::<23>(_mm_add_epi32(half, bias)));
            let second = _mm_castsi128_ps(_mm_slli_epi32::<23>(_mm_add_epi32(rest, bias)));
            _mm_mul_ps(_mm_mul_ps(self.0, first), second)
        }))
    }

    #[inline(always)]
    fn less(self, other: Self) -> __m128 {
        with_sse41!(_mm_cmplt_ps(self.0, other.0))
    }

    #[inline(always)]
    fn any(mask: __m128) -> bool {
        with_sse41!(_mm_movemask_ps(mask) != 0)
    }

    #[inline(always)]
    fn select(mask: __m128, yes: Self, no: Self) -> Self {
        Sse41(with_sse41!(_mm_blendv_ps(no.0, yes.0, mask)))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        with_sse41!({
            let two = _mm_add_ps(self.0, _mm_movehl_ps(self.0, self.0));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        with_sse41!(_mm_storeu_ps(sums.as_mut_ptr(), _mm_hadd_ps(_mm_hadd_ps(a.0, b.0), _mm_hadd_ps(c.0, d.0))));
        sums
    }

    #[inline(always)]
    fn maximum(self) -> f32 {
        with_sse41!({
            let two = _mm_max_ps(self.0, _mm_movehl_ps(self.0, self.0));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    unsafe fn transpose(from: [*const f32; 16], to: [*mut f32; 16]) {
        // SAFETY: says the caller, of the machine and the pointers.
        unsafe {
            for i in (0..16).step_by(4) {
                for j in (0..16).step_by(4) {
                    let (a, b) = (_mm_loadu_ps(from[i].add(j)), _mm_loadu_ps(from[i + 1].add(j)));
                    let (c, d) = (_mm_loadu_ps(from[i + 2].add(j)), _mm_loadu_ps(from[i + 3].add(j)));
                    let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
                    _mm_storeu_ps(to[j].add(i), _mm_movelh_ps(ab, cd));
                    _mm_storeu_ps(to[j + 1].add(i), _mm_movehl_ps(cd, ab));
                    let (ab, cd) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
                    _mm_storeu_ps(to[j + 2].add(i), _mm_movelh_ps(ab, cd));
                    _mm_storeu_ps(to[j + 3].add(i), _mm_movehl_ps(cd, ab));
                }
            }
        }
    }
}
