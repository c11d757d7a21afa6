//! Super-blocks of IQ2 and IQ3 decoded to a tile's rows, with the readers of the GEMV.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use ascua_gguf::TensorType;

use super::super::{DecodeTile, Tile, Weights};
use super::scaled::{Row, finish};
use super::{InnerProduct, lanes_in_turn};
use crate::matmul::activation::RowOrder;
use crate::matmul::gemv::avx512::by_lane::{Block, lattice};
use crate::matmul::gemv::avx512::lattice::Iq2S;
use crate::matmul::gemv::avx512::negated;
use crate::matmul::gemv::avx512::super_blocks::SuperBlock;
use crate::matmul::integers::IntegerFormat;

pub(super) fn decode<D: InnerProduct>(weight: TensorType) -> Option<DecodeTile> {
    Some(match weight {
        TensorType::IQ2_XXS => decode_rows::<Ordered<lattice::Iq2Xxs, 32>, D>,
        TensorType::IQ2_XS => decode_rows::<Ordered<lattice::Iq2Xs, 16>, D>,
        TensorType::IQ2_S => decode_rows::<Iq2S, D>,
        TensorType::IQ3_XXS => decode_rows::<Ordered<lattice::Iq3Xxs, 32>, D>,
        TensorType::IQ3_S => decode_rows::<Ordered<lattice::Iq3S, 32>, D>,
        _ => return None,
    })
}

/// Reads a super-block as a tile's row.
trait ReadRow {
    /// Elements that share a scale.
    const GROUP: usize;
    /// # Safety
    /// The block is whole, the machine has AVX-512 VNNI.
    unsafe fn row(block: *const u8) -> Row;
}

/// # Safety
/// As [`DecodeTile`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn decode_rows<B: ReadRow, D: InnerProduct>(_: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    for row in 0..weights.rows {
        // SAFETY: a tile's row is a super-block; the caller vouches for the machine.
        unsafe { finish::<D>(B::row(weights.row(row).as_ptr()), 0, B::GROUP, false, tile, row) };
    }
}

/// A block in an order of its own, with a scale for each `GROUP`.
struct Ordered<B, const GROUP: usize>(PhantomData<B>);

impl<B: Block, const GROUP: usize> ReadRow for Ordered<B, GROUP> {
    const GROUP: usize = GROUP;

    #[inline(always)]
    unsafe fn row(block: *const u8) -> Row {
        const { assert!(matches!(B::ORDER, RowOrder::Fourths | RowOrder::Halves), "the orders of the lattices") };
        // SAFETY: as the caller says.
        unsafe {
            let read = B::read(block);
            let values = signed(read.values, read.signs);
            let [first, second] = read.scales;
            let (values, scales) = match B::ORDER {
                RowOrder::Fourths => (from_fourths(values), if GROUP == 16 { first } else { every_second(first) }),
                _ => (from_halves(values), every_fourth(first, second)),
            };
            Row { values, scales, offsets: _mm512_setzero_ps() }
        }
    }
}

impl ReadRow for Iq2S {
    const GROUP: usize = 16;

    #[inline(always)]
    unsafe fn row(block: *const u8) -> Row {
        // SAFETY: as the caller says.
        unsafe {
            let read = Iq2S::read(block);
            let values = signed(read.values, read.signs);
            let scales = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(read.of_sums));
            let scales = _mm512_mul_ps(scales, _mm512_broadcastss_ps(read.factors));
            Row { values, scales, offsets: _mm512_setzero_ps() }
        }
    }
}

/// Values with their signs.
#[inline(always)]
unsafe fn signed(mut values: [__m512i; 4], signs: [u64; 4]) -> [__m512i; 4] {
    for (values, signs) in values.iter_mut().zip(signs) {
        // SAFETY: AVX-512 is the caller's.
        *values = unsafe { negated(*values, signs) };
    }
    values
}

/// Values in order, from [`RowOrder::Fourths`].
#[inline(always)]
unsafe fn from_fourths([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
        // Lane `l` of the vector `v` has the sixteen from `64 l + 16 v` on.
        let (first, second) = (_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd));
        let (third, last) = (_mm512_unpacklo_epi16(ab_high, cd_high), _mm512_unpackhi_epi16(ab_high, cd_high));
        let low = _mm512_shuffle_i32x4::<0b01_00_01_00>(first, second);
        let low_too = _mm512_shuffle_i32x4::<0b01_00_01_00>(third, last);
        let high = _mm512_shuffle_i32x4::<0b11_10_11_10>(first, second);
        let high_too = _mm512_shuffle_i32x4::<0b11_10_11_10>(third, last);
        [
            _mm512_shuffle_i32x4::<0b10_00_10_00>(low, low_too),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(low, low_too),
            _mm512_shuffle_i32x4::<0b10_00_10_00>(high, high_too),
            _mm512_shuffle_i32x4::<0b11_01_11_01>(high, high_too),
        ]
    }
}

/// Values in order, from [`RowOrder::Halves`].
#[inline(always)]
unsafe fn from_halves([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (low_too, high_too) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        let ([a, b], [c, d]) = (lanes_in_turn(low, high), lanes_in_turn(low_too, high_too));
        [a, b, c, d]
    }
}

/// The lanes of even number, in the lower half.
#[inline(always)]
unsafe fn every_second(lanes: __m512) -> __m512 {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
        _mm512_permutexvar_ps(even, lanes)
    }
}

/// Every fourth lane of two vectors, in the lower half.
#[inline(always)]
unsafe fn every_fourth(first: __m512, second: __m512) -> __m512 {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let fourth = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
        _mm512_permutex2var_ps(first, fourth, second)
    }
}
