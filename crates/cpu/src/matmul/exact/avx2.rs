//! The exact kernel with AVX2 and FMA: 4 rows by 2 tokens of eight lanes.

use std::arch::x86_64::*;
use std::ops::Range;

use ascua_gguf::TensorType;

use super::stream::{StreamRows, Streamed, stream_loops};
use super::{DecodedTile, F32Weights, FloatVector, OutputRows, Weights, tile_loops};
use crate::matmul::integers::half_to_f32;

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

/// Half-precision weights.
struct F16Weights;

impl Weights<Lanes8> for F16Weights {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn lanes(from: *const u8) -> Lanes8 {
        // SAFETY: only called from a `stream_rows`; the caller has eight readable weights.
        Lanes8(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) })
    }

    #[inline(always)]
    unsafe fn one(from: *const u8) -> f32 {
        // SAFETY: the caller has a readable weight.
        half_to_f32(u16::from_le(unsafe { from.cast::<u16>().read_unaligned() }))
    }
}

/// The upper halves of F32 weights.
struct Bf16Weights;

impl Weights<Lanes8> for Bf16Weights {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn lanes(from: *const u8) -> Lanes8 {
        // SAFETY: only called from a `stream_rows`; the caller has eight readable weights.
        Lanes8(unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        })
    }

    #[inline(always)]
    unsafe fn one(from: *const u8) -> f32 {
        // SAFETY: the caller has a readable weight.
        f32::from_bits(u32::from(u16::from_le(unsafe { from.cast::<u16>().read_unaligned() })) << 16)
    }
}

/// The kernel that reads a plain float type in place.
pub(super) fn stream(weight: TensorType) -> Option<StreamRows> {
    Some(match weight {
        TensorType::F32 => stream_rows::<F32Weights>,
        TensorType::F16 => stream_rows::<F16Weights>,
        TensorType::BF16 => stream_rows::<Bf16Weights>,
        _ => return None,
    })
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn stream_rows<W: Weights<Lanes8>>(product: Streamed<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the product and the machine.
    unsafe { stream_loops::<Lanes8, W>(product, rows) }
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
