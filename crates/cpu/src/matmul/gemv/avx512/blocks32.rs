//! The frame for blocks of 32, 64 or 128: four groups of 32 at a time, one 128-bit lane each.
//!
//! One vector holds the first halves of four groups and another the second halves; activations are brought to the
//! same order by two shuffles per four rows. A row's last one to three groups read the last block again in the
//! missing places, where the activations are zero.

use std::arch::x86_64::*;

use super::super::{FourByFour, RowsDot, Scales, Signs};
use super::dot_products::DotProducts;
use super::{negated, prefetch};
use crate::matmul::activation::RowView;
use crate::matmul::ahead;
use crate::matmul::integers::Offsets;

/// One block type, as the frame reads it.
pub(in crate::matmul) trait Block32 {
    const BYTES: usize;
    /// Groups of 32 in a block.
    const GROUPS: usize = 1;
    const SCALES: Scales = Scales::PerGroup;
    /// The stored value that stands for zero.
    const ZERO: u8;
    const SIGNS: Signs = Signs::InValues;
    const OFFSETS: Offsets;
    /// Stored values, unsigned: elements 0..16 of the four groups, then elements 16..32. There is a pointer for each
    /// group, to its block.
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2];
    /// Where signs are apart, the elements whose stored values are negated.
    unsafe fn signs(_blocks: [*const u8; 4]) -> [u64; 2] {
        [0; 2]
    }
    /// Of the groups; or of their first halves and of their second ones.
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2];
    unsafe fn offsets(_blocks: [*const u8; 4]) -> __m128 {
        // SAFETY: SSE is in the baseline.
        unsafe { _mm_setzero_ps() }
    }
}

pub(super) struct Blocks32<B, D>(std::marker::PhantomData<(B, D)>);

/// The sums of `R` rows with `T` tokens on their way.
#[derive(Clone, Copy)]
struct Sums<const R: usize, const T: usize> {
    products: [[__m512; T]; R],
    offsets: [[__m128; T]; R],
}

impl<B: Block32, D: DotProducts> RowsDot for Blocks32<B, D> {
    const FOUR_BY_FOUR: FourByFour = FourByFour::Together;

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        // SAFETY: the frame stays within the rows' blocks and the padded activations; AVX-512 is the caller's.
        unsafe {
            let ahead = ahead::bytes();
            const {
                assert!(matches!(B::GROUPS, 1 | 2 | 4), "four groups are whole blocks");
                assert!(B::ZERO == 0 || matches!(B::SIGNS, Signs::InValues), "zero is taken off before the signs");
            };
            let groups = cols / 32;
            let mut sums = Sums { products: [[_mm512_setzero_ps(); T]; R], offsets: [[_mm_setzero_ps(); T]; R] };
            let mut group = 0;
            while group + 4 <= groups {
                let first = group / B::GROUPS;
                let place = |i: usize| (first + i / B::GROUPS) * B::BYTES;
                step::<B, D, R, T>(&mut sums, rows, [place(0), place(1), place(2), place(3)], group, x, ahead);
                group += 4;
            }
            if group < groups {
                let place = |i: usize| (group + i).min(groups - 1) / B::GROUPS * B::BYTES;
                step::<B, D, R, T>(&mut sums, rows, [place(0), place(1), place(2), place(3)], group, x, ahead);
            }
            let mut out = [[0.0; T]; R];
            for r in 0..R {
                for t in 0..T {
                    let mut sum = sums.products[r][t];
                    if B::OFFSETS == Offsets::PerGroup {
                        sum = _mm512_add_ps(sum, _mm512_zextps128_ps512(sums.offsets[r][t]));
                    }
                    out[r][t] = _mm512_reduce_add_ps(sum);
                }
            }
            out
        }
    }
}

/// Four groups, the first of them `group`, of the blocks at the byte offsets `places` of every row.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn step<B: Block32, D: DotProducts, const R: usize, const T: usize>(
    sums: &mut Sums<R, T>,
    rows: [*const u8; R],
    places: [usize; 4],
    group: usize,
    x: [RowView; T],
    ahead: usize,
) {
    // SAFETY: the caller keeps places and group within the rows and the padded activations.
    unsafe {
        let mut low_x = [_mm512_setzero_si512(); T];
        let mut high_x = [_mm512_setzero_si512(); T];
        let mut start = [[_mm512_setzero_si512(); 2]; T];
        let mut scales_x = [_mm512_setzero_ps(); T];
        let mut scaled_sums = [_mm_setzero_ps(); T];
        for t in 0..T {
            let values = x[t].values.add(group * 32);
            let (first, second) = (_mm512_loadu_si512(values.cast()), _mm512_loadu_si512(values.add(64).cast()));
            low_x[t] = _mm512_shuffle_i32x4::<0x88>(first, second);
            high_x[t] = _mm512_shuffle_i32x4::<0xdd>(first, second);
            scales_x[t] = by_lane(_mm_loadu_ps(x[t].scales.add(group)));
            if B::ZERO != 0 {
                // Lane by lane, so that the integer sums are those of the signed weights, exactly.
                let zero = _mm512_set1_epi8(B::ZERO as i8);
                let nothing = _mm512_setzero_si512();
                let first = D::add(nothing, zero, low_x[t]);
                start[t] = match B::SCALES {
                    Scales::PerGroup => {
                        let above = D::add(first, zero, high_x[t]);
                        [_mm512_sub_epi32(nothing, above), nothing]
                    }
                    Scales::PerHalf => {
                        let second = D::add(nothing, zero, high_x[t]);
                        [_mm512_sub_epi32(nothing, first), _mm512_sub_epi32(nothing, second)]
                    }
                };
            }
            if B::OFFSETS == Offsets::PerGroup {
                scaled_sums[t] = _mm_loadu_ps(x[t].scaled_sums.add(group));
            }
        }
        for r in 0..R {
            let blocks =
                [rows[r].add(places[0]), rows[r].add(places[1]), rows[r].add(places[2]), rows[r].add(places[3])];
            match 4 / B::GROUPS * B::BYTES {
                0..=48 => prefetch::<1>(blocks[0], ahead),
                49..=96 => prefetch::<65>(blocks[0], ahead),
                _ => prefetch::<129>(blocks[0], ahead),
            }
            let ([low, high], signs) = (B::values(blocks), B::signs(blocks));
            let scales = B::scales(blocks);
            let [scales, second_scales] = [by_lane(scales[0]), by_lane(scales[1])];
            for t in 0..T {
                let (mut low_x, mut high_x) = (low_x[t], high_x[t]);
                if B::SIGNS == Signs::Apart {
                    (low_x, high_x) = (negated(low_x, signs[0]), negated(high_x, signs[1]));
                }
                let dot = D::add(start[t][0], low, low_x);
                let mut sum = sums.products[r][t];
                match B::SCALES {
                    Scales::PerGroup => {
                        let dot = D::add(dot, high, high_x);
                        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scales, scales_x[t]), sum);
                    }
                    Scales::PerHalf => {
                        let second = D::add(start[t][1], high, high_x);
                        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scales, scales_x[t]), sum);
                        sum =
                            _mm512_fmadd_ps(_mm512_cvtepi32_ps(second), _mm512_mul_ps(second_scales, scales_x[t]), sum);
                    }
                }
                sums.products[r][t] = sum;
            }
            if B::OFFSETS == Offsets::PerGroup {
                let offsets = B::offsets(blocks);
                for t in 0..T {
                    sums.offsets[r][t] = _mm_fmadd_ps(offsets, scaled_sums[t], sums.offsets[r][t]);
                }
            }
        }
    }
}

/// Four numbers, each four times.
#[inline(always)]
unsafe fn by_lane(four: __m128) -> __m512 {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
        _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(four))
    }
}
