//! A decoded row times a token on x86: 32 products at a time, with AVX2 or with VNNI's dot product.

use std::arch::x86_64::*;

use super::DecodedRow;
use crate::matmul::activation::RowView;

/// Products of 32 signed bytes, summed by fours.
trait ByteDot {
    unsafe fn dot(w: __m256i, x: __m256i) -> __m256i;
}

struct MultiplyAdd;

impl ByteDot for MultiplyAdd {
    #[inline(always)]
    unsafe fn dot(w: __m256i, x: __m256i) -> __m256i {
        // |w| is at most 128 and |x| 127, so a pair stays within 16 bits.
        // SAFETY: only called from `dot_avx2`.
        unsafe {
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
        }
    }
}

struct Vnni;

impl ByteDot for Vnni {
    #[inline(always)]
    unsafe fn dot(w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: only called from `dot_vnni`.
        unsafe { _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) }
    }
}

struct AvxVnni;

impl ByteDot for AvxVnni {
    #[inline(always)]
    unsafe fn dot(w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: only called from `dot_avx_vnni`.
        unsafe { _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), _mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) }
    }
}

/// # Safety
/// The machine has AVX2 and FMA, the view covers the row.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn dot_avx2(row: &DecodedRow<'_>, x: RowView) -> f32 {
    // SAFETY: the caller vouches for the same.
    unsafe { dot::<MultiplyAdd>(row, x) }
}

/// # Safety
/// The machine has AVX2, FMA and AVX-VNNI, the view covers the row.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) unsafe fn dot_avx_vnni(row: &DecodedRow<'_>, x: RowView) -> f32 {
    // SAFETY: the caller vouches for the same.
    unsafe { dot::<AvxVnni>(row, x) }
}

/// # Safety
/// The machine has AVX-512 with VNNI, the view covers the row.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn dot_vnni(row: &DecodedRow<'_>, x: RowView) -> f32 {
    // SAFETY: the caller vouches for the same.
    unsafe { dot::<Vnni>(row, x) }
}

#[inline(always)]
unsafe fn dot<D: ByteDot>(row: &DecodedRow<'_>, x: RowView) -> f32 {
    let groups = row.values.len() / 32;
    // SAFETY: reads stay within the row's whole groups of 32, which the view covers; offsets are padded to eights.
    unsafe {
        let mut sum = _mm256_setzero_ps();
        for g in 0..groups {
            let w = _mm256_loadu_si256(row.values.as_ptr().add(32 * g).cast());
            let products = _mm256_cvtepi32_ps(D::dot(w, _mm256_loadu_si256(x.values.add(32 * g).cast())));
            let of_x = *x.scales.add(g);
            let scale = if row.group == 32 {
                _mm256_set1_ps(*row.scales.as_ptr().add(g) * of_x)
            } else {
                let scales = row.scales.as_ptr().add(2 * g);
                _mm256_set_m128(_mm_set1_ps(*scales.add(1) * of_x), _mm_set1_ps(*scales * of_x))
            };
            sum = _mm256_fmadd_ps(products, scale, sum);
        }
        if row.group == 32 {
            for (eight, offsets) in row.offsets.as_chunks::<8>().0.iter().enumerate() {
                let of_x = _mm256_loadu_ps(x.scaled_sums.add(8 * eight));
                sum = _mm256_fmadd_ps(_mm256_loadu_ps(offsets.as_ptr()), of_x, sum);
            }
        } else {
            for (eight, offsets) in row.offsets.as_chunks::<8>().0.iter().enumerate() {
                let sums = _mm256_cvtepi16_epi32(_mm_loadu_si128(x.sums16.add(8 * eight).cast()));
                let scales = _mm_loadu_ps(x.scales.add(4 * eight));
                let scales = _mm256_set_m128(_mm_unpackhi_ps(scales, scales), _mm_unpacklo_ps(scales, scales));
                let of_x = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales);
                sum = _mm256_fmadd_ps(_mm256_loadu_ps(offsets.as_ptr()), of_x, sum);
            }
        }
        let four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
