//! The exact kernel with AVX-512: 4 rows by 4 tokens of sixteen lanes.

use std::arch::x86_64::*;
use std::ops::Range;

use ascua_gguf::TensorType;

use super::stream::{StreamRows, Streamed, stream_loops};
use super::{DecodedTile, F32Weights, FloatVector, OutputRows, Weights, tile_loops};
use crate::matmul::integers::half_to_f32;

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

/// Half-precision weights.
struct F16Weights;

impl Weights<Lanes16> for F16Weights {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn lanes(from: *const u8) -> Lanes16 {
        // SAFETY: only called from a `stream_rows`; the caller has sixteen readable weights.
        Lanes16(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) })
    }

    #[inline(always)]
    unsafe fn one(from: *const u8) -> f32 {
        // SAFETY: the caller has a readable weight.
        half_to_f32(u16::from_le(unsafe { from.cast::<u16>().read_unaligned() }))
    }
}

/// The upper halves of F32 weights.
struct Bf16Weights;

impl Weights<Lanes16> for Bf16Weights {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn lanes(from: *const u8) -> Lanes16 {
        // SAFETY: only called from a `stream_rows`; the caller has sixteen readable weights.
        Lanes16(unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
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

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn stream_rows<W: Weights<Lanes16>>(product: Streamed<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the product and the machine.
    unsafe { stream_loops::<Lanes16, W>(product, rows) }
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
