//! Eight F32 with AVX2, FMA and F16C.

use std::arch::x86_64::*;

use super::Lanes;

/// Eight numbers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(pub(crate) __m256);

/// Instructions of the level on existing vectors.
macro_rules! with_avx2 {
    ($work:expr) => {{
        // SAFETY: a vector exists, so the machine has the level (see the invariant of `lanes`).
        unsafe { $work }
    }};
}

/// A window of eight, starting `8 - n` entries in, has its first `n` entries set.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    debug_assert!(count <= 8);
    // SAFETY: `count` is at most eight, so the window lies inside the table.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - count).cast()) }
}

/// The sum of each of four vectors.
#[inline(always)]
pub(super) unsafe fn sums_of_four(a: __m256, b: __m256, c: __m256, d: __m256) -> [f32; 4] {
    // SAFETY: the machine has the level, says the caller; the array has room for four.
    unsafe {
        let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
        let four = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
        let mut sums = [0.0; 4];
        _mm_storeu_ps(sums.as_mut_ptr(), four);
        sums
    }
}

impl Lanes for Avx2 {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type Mask = __m256;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the machine has the level, says the caller.
        Avx2(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        Avx2(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: only the first `count` numbers are touched.
        Avx2(unsafe { _mm256_maskload_ps(from, first(count)) })
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        Avx2(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) })
    }

    #[inline(always)]
    unsafe fn widen_f16(bits: u16) -> f32 {
        // SAFETY: the machine has the level, says the caller.
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        Avx2(unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        })
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        Avx2(unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: writable for eight numbers, says the caller.
        unsafe { _mm256_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: only the first `count` numbers are touched.
        unsafe { _mm256_maskstore_ps(to, first(count), self.0) };
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16) {
        // SAFETY: writable for eight numbers, says the caller.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0)) };
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8) {
        // SAFETY: writable for eight bytes, says the caller.
        unsafe {
            let integers = _mm256_cvttps_epi32(self.0);
            let words = _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256::<1>(integers));
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(words, words));
        }
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint that never faults; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Avx2(with_avx2!(_mm256_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Avx2(with_avx2!(_mm256_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Avx2(with_avx2!(_mm256_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Avx2(with_avx2!(_mm256_div_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Avx2(with_avx2!(_mm256_fmadd_ps(self.0, factor.0, addend.0)))
    }

    #[inline(always)]
    fn subtract_from(self, factor: Self, minuend: Self) -> Self {
        Avx2(with_avx2!(_mm256_fnmadd_ps(self.0, factor.0, minuend.0)))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Avx2(with_avx2!(_mm256_min_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Avx2(with_avx2!(_mm256_max_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn round(self) -> Self {
        Avx2(with_avx2!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }

    #[inline(always)]
    fn scale_by_power(self, power: Self) -> Self {
        // In two halves: 2^power itself may be outside the range of F32.
        Avx2(with_avx2!({
            let power = _mm256_cvtps_epi32(power.0);
            let half = _mm256_srai_epi32::<1>(power);
            let rest = _mm256_sub_epi32(power, half);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias)));
            let second = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(rest, bias)));
            _mm256_mul_ps(_mm256_mul_ps(self.0, first), second)
        }))
    }

    #[inline(always)]
    fn less(self, other: Self) -> __m256 {
        with_avx2!(_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0))
    }

    #[inline(always)]
    fn any(mask: __m256) -> bool {
        with_avx2!(_mm256_movemask_ps(mask) != 0)
    }

    #[inline(always)]
    fn select(mask: __m256, yes: Self, no: Self) -> Self {
        Avx2(with_avx2!(_mm256_blendv_ps(no.0, yes.0, mask)))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        with_avx2!({
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        with_avx2!(sums_of_four(a.0, b.0, c.0, d.0))
    }

    #[inline(always)]
    fn maximum(self) -> f32 {
        with_avx2!({
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    unsafe fn transpose(from: [*const f32; 16], to: [*mut f32; 16]) {
        // SAFETY: says the caller, of the machine and the pointers.
        unsafe {
            for (i, j) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                let mut rows = [_mm256_setzero_ps(); 8];
                for (k, row) in rows.iter_mut().enumerate() {
                    *row = _mm256_loadu_ps(from[i + k].add(j));
                }
                for (k, column) in turned(rows).into_iter().enumerate() {
                    _mm256_storeu_ps(to[j + k].add(i), column);
                }
            }
        }
    }
}

/// The columns of eight rows of eight.
#[inline(always)]
unsafe fn turned(m: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the machine has the level, says the caller.
    unsafe {
        // Pairs of rows, then fours, then eights: in each 128-bit half first.
        let mut pairs = m;
        let mut fours = m;
        let mut eights = m;
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_ps(m[2 * i], m[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(m[2 * i], m[2 * i + 1]);
        }
        for i in [0, 4] {
            fours[i] = _mm256_shuffle_ps::<0x44>(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm256_shuffle_ps::<0xee>(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm256_shuffle_ps::<0x44>(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm256_shuffle_ps::<0xee>(pairs[i + 1], pairs[i + 3]);
        }
        for i in 0..4 {
            eights[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
            eights[i + 4] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
        }
        eights
    }
}
