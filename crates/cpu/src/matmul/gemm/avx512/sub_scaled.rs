//! Super-blocks whose groups' scales are small integers times one factor: the products stay integers until the end.
//!
//! A group's sum of products fits 16 bits: always, where values are few bits from zero (so Q4_K's are moved there, which
//! its offsets make up for), and else nearly always, which the sums of squares on both sides show. One dot product of 16
//! bits then both scales a group's sum and adds it up, where F32 takes a conversion and a multiplication.
//!
//! Offsets are integers times a factor too, and meet the sums of two groups' activations at once. Where values were
//! moved, an offset has parts of two factors; then it is rounded to 16 bits of the largest that the block could have.

mod values;

use std::arch::x86_64::*;
use std::marker::PhantomData;

use ascua_gguf::TensorType;

use super::super::{Extent, GROUPS, Partial, Tile, Weights};
use super::{
    InnerProduct, Kernels, MicroKernel, add_to_partial, by_groups, middle, multiply_tile, prefetch_partial,
    store_values,
};
use crate::matmul::activation::{PanelView, TOKENS_PER_PANEL};
use crate::matmul::integers::{IntegerFormat, Offsets, Q2K, Q3K, Q4K, Q5K, Q6K, SPAN, SubScaled};
use crate::scales::group_factors;
use values::Vectors;

/// The largest magnitude of activations.
const LARGEST_X: i32 = 127;
/// The largest integer of the scales and offsets of encodings that are moved.
const LARGEST_SUB: f32 = 63.0;
/// The largest integer of a moved super-block's offsets.
const OFFSET_LEVELS: f32 = 32767.0;
/// No sum of products whose square is no larger leaves 16 bits.
const LARGEST_SQUARE: f32 = 32767.0 * 32767.0;

/// As [`super::gemm`].
pub(super) fn kernels<D: InnerProduct>(weight: TensorType) -> Option<Kernels> {
    Some(match weight {
        TensorType::Q2_K => of::<Q2K, D>(),
        TensorType::Q3_K => of::<Q3K, D>(),
        TensorType::Q4_K => of::<Q4K, D>(),
        TensorType::Q5_K => of::<Q5K, D>(),
        TensorType::Q6_K => of::<Q6K, D>(),
        _ => return None,
    })
}

fn of<B: Vectors, D: InnerProduct>() -> Kernels {
    let range = [B::RANGE.0, B::RANGE.1].map(|value| i32::from(value) - Centred::<B>::CENTRE);
    Kernels { decode: decode::<B, D>, multiply: multiply_tile::<Integers<B, D>>, range: (range[0], range[1]) }
}

struct Integers<B, D>(PhantomData<(B, D)>);

impl<B: SubScaled, D: InnerProduct> Integers<B, D> {
    /// Whether start values of a tile's groups are added with the sum of all groups: where sums without them fit too.
    const STARTS_LATER: bool = D::ADDS_LATER && {
        let sum = largest_sum(B::GROUP, Centred::<B>::LARGEST);
        sum + largest_start(B::GROUP, Centred::<B>::LARGEST) <= i16::MAX as i32
    };
}

/// How an encoding's values become those that are multiplied.
struct Centred<B>(PhantomData<B>);

impl<B: SubScaled> Centred<B> {
    /// What is taken off each value, so that sums of products are smaller.
    const CENTRE: i32 = match B::OFFSETS {
        Offsets::PerGroup if largest_sum(B::GROUP, largest(B::RANGE, 0)) > i16::MAX as i32 => middle(B::RANGE),
        _ => 0,
    };
    /// The largest magnitude of values.
    const LARGEST: i32 = largest(B::RANGE, Self::CENTRE);
    const ALWAYS_FIT: bool = largest_sum(B::GROUP, Self::LARGEST) <= i16::MAX as i32;
}

const fn largest(range: (i8, i8), centre: i32) -> i32 {
    let (below, above) = (centre - range.0 as i32, range.1 as i32 - centre);
    if below > above { below } else { above }
}

/// The largest magnitude of a group's sum of products.
const fn largest_sum(group: usize, largest: i32) -> i32 {
    group as i32 * LARGEST_X * largest
}

/// That of the start value of a group of a tile.
const fn largest_start(group: usize, largest: i32) -> i32 {
    group as i32 / 2 * (largest + 128) * largest
}

impl<B: SubScaled, D: InnerProduct> MicroKernel for Integers<B, D> {
    #[inline(always)]
    unsafe fn run<const R: usize, const C: usize>(
        tile: &Tile,
        row: usize,
        panels: [PanelView; C],
        extent: &Extent<'_>,
        partial: *mut Partial,
    ) {
        // SAFETY: the caller vouches for the same; super-blocks fill whole spans.
        unsafe {
            prefetch_partial::<R, C>(partial, row);
            let offsets = match B::OFFSETS {
                Offsets::None => [[_mm512_setzero_ps(); C]; R],
                Offsets::PerGroup => offsets::<B, R, C>(tile, row, extent.cols / B::GROUP, &panels),
            };
            let misfits = if Centred::<B>::ALWAYS_FIT { 0 } else { misfits::<B, R, C>(tile, row, &panels) };
            let totals = match (B::GROUP, misfits) {
                (16, 0) if Self::STARTS_LATER => products::<D, 16, true, true, R, C>(tile, row, &panels, 0),
                (16, 0) => products::<D, 16, false, true, R, C>(tile, row, &panels, 0),
                (16, _) => products::<D, 16, false, false, R, C>(tile, row, &panels, misfits),
                (_, 0) => products::<D, 32, false, true, R, C>(tile, row, &panels, 0),
                (_, _) => products::<D, 32, false, false, R, C>(tile, row, &panels, misfits),
            };
            let mut sums = offsets;
            for r in 0..R {
                let factor = _mm512_set1_ps(tile.factors[row + r]);
                for c in 0..C {
                    sums[r][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[r][c]), factor, sums[r][c]);
                }
            }
            add_to_partial(sums, panels, extent.begins(), partial, row);
        }
    }
}

/// The groups of which a sum of products might not fit 16 bits, one bit each: it is no more than the square root of the
/// product of both sides' sums of squares.
#[inline(always)]
unsafe fn misfits<B: SubScaled, const R: usize, const C: usize>(
    tile: &Tile,
    row: usize,
    panels: &[PanelView; C],
) -> u16 {
    // SAFETY: the caller's panels have 256 elements, a tile's row has sixteen sums; AVX-512 is the caller's.
    unsafe {
        let mut of_w = _mm512_setzero_ps();
        for row in &tile.squares[row..row + R] {
            of_w = _mm512_max_ps(of_w, _mm512_loadu_ps(row.as_ptr()));
        }
        let mut of_x = _mm512_setzero_ps();
        for panel in panels {
            of_x = _mm512_max_ps(of_x, _mm512_loadu_ps(panel.squares16));
        }
        if B::GROUP == 32 {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            of_x = _mm512_add_ps(_mm512_permutexvar_ps(even, of_x), _mm512_permutexvar_ps(odd, of_x));
        }
        _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(_mm512_mul_ps(of_w, of_x), _mm512_set1_ps(LARGEST_SQUARE))
    }
}

/// The part of the offsets, but for the factors of activations. The number of groups comes at run time, so that the
/// compiler does not unroll their loop: it would keep all its addresses on the stack.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn offsets<B: SubScaled, const R: usize, const C: usize>(
    tile: &Tile,
    row: usize,
    groups: usize,
    panels: &[PanelView; C],
) -> [[__m512; C]; R] {
    // SAFETY: the panels cover the tile's columns; AVX-512 is the caller's.
    unsafe {
        let offsets = tile.offset_integers.as_ptr().add(row).cast::<i32>();
        let mut totals = [[_mm512_setzero_si512(); C]; R];
        let mut pair = 0;
        loop {
            for c in 0..C {
                let of_x = if B::GROUP == 32 { panels[c].pairs32 } else { panels[c].pairs16 };
                let of_x = _mm512_loadu_si512(of_x.add(2 * pair * TOKENS_PER_PANEL).cast());
                for r in 0..R {
                    let offset = _mm512_set1_epi32(*offsets.add(r * (GROUPS / 2) + pair));
                    totals[r][c] = _mm512_dpwssd_epi32(totals[r][c], of_x, offset);
                }
            }
            pair += 1;
            if pair == groups / 2 {
                break;
            }
        }
        let mut sums = [[_mm512_setzero_ps(); C]; R];
        for r in 0..R {
            let factor = _mm512_set1_ps(tile.offset_factors[row + r]);
            for c in 0..C {
                sums[r][c] = _mm512_mul_ps(_mm512_cvtepi32_ps(totals[r][c]), factor);
            }
        }
        sums
    }
}

/// The products of super-blocks, but for the factors of weights and activations.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn products<
    D: InnerProduct,
    const GROUP: usize,
    const STARTS_LATER: bool,
    const FIT: bool,
    const R: usize,
    const C: usize,
>(
    tile: &Tile,
    row: usize,
    panels: &[PanelView; C],
    misfits: u16,
) -> [[__m512i; C]; R] {
    // SAFETY: rows stay within the tile, and the panels cover its columns.
    unsafe {
        let sub_scales = tile.sub_scales.as_ptr().add(row).cast::<i32>();
        let mut totals = [[_mm512_setzero_si512(); C]; R];
        if STARTS_LATER {
            for r in 0..R {
                totals[r] = [_mm512_set1_epi32(tile.totals[row + r]); C];
            }
        }
        for group in 0..SPAN / GROUP {
            let dots = D::dots::<GROUP, STARTS_LATER, R, C>(tile, row, group, panels);
            if FIT || misfits >> group & 1 == 0 {
                for r in 0..R {
                    // The upper halves meet zeros.
                    let scale = _mm512_set1_epi32(*sub_scales.add(r * GROUPS + group));
                    for c in 0..C {
                        totals[r][c] = _mm512_dpwssd_epi32(totals[r][c], dots[r][c], scale);
                    }
                }
            } else {
                for r in 0..R {
                    let scale = _mm512_set1_epi32(i32::from(*sub_scales.add(r * GROUPS + group) as i16));
                    for c in 0..C {
                        totals[r][c] = _mm512_add_epi32(totals[r][c], _mm512_mullo_epi32(dots[r][c], scale));
                    }
                }
            }
        }
        totals
    }
}

/// # Safety
/// As [`super::DecodeTile`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn decode<B: Vectors, D: InnerProduct>(_: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    let weights = weights.of_bytes(B::BYTES);
    for row in 0..weights.rows {
        let block = weights.row(row);
        // SAFETY: the block is whole, the caller vouches for the machine.
        unsafe {
            decode_scales::<B>(block, tile, row);
            decode_values::<B, D>(block, tile, row);
        }
    }
}

/// Scales and offsets of a row, as integers and factors and as products.
///
/// # Safety
/// The block is whole, the machine has AVX-512 VNNI.
#[inline(always)]
unsafe fn decode_scales<B: SubScaled>(block: &[u8], tile: &mut Tile, row: usize) {
    let (mut sub_scales, mut sub_offsets) = ([0i16; GROUPS], [0i16; GROUPS]);
    let groups = SPAN / B::GROUP;
    let factors = B::sub_scales(block, &mut sub_scales[..groups], &mut sub_offsets[..groups]);
    let factors = i32::from(factors.scales) | i32::from(factors.offsets) << 16;
    // SAFETY: the caller vouches for the machine, and each array has sixteen elements.
    unsafe {
        let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(factors));
        let (of_scales, of_offsets) = (_mm_cvtss_f32(factors), _mm_cvtss_f32(_mm_movehdup_ps(factors)));
        let sub_scales = _mm256_loadu_si256(sub_scales.as_ptr().cast());
        // The lower halves; the upper are zero.
        _mm512_storeu_si512(tile.sub_scales[row].as_mut_ptr().cast(), _mm512_cvtepu16_epi32(sub_scales));
        let sub_scales = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(sub_scales));
        _mm512_storeu_ps(tile.scales[row].as_mut_ptr(), _mm512_mul_ps(sub_scales, _mm512_set1_ps(of_scales)));
        tile.factors[row] = of_scales;
        if B::OFFSETS == Offsets::None {
            tile.offsets[row] = [0.0; GROUPS];
            return;
        }
        let mut integers = _mm256_loadu_si256(sub_offsets.as_ptr().cast());
        let offsets = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(integers));
        let mut offsets = _mm512_mul_ps(offsets, _mm512_set1_ps(of_offsets));
        let mut offset_factor = of_offsets;
        if Centred::<B>::CENTRE != 0 {
            let of_centre = Centred::<B>::CENTRE as f32 * of_scales;
            offsets = _mm512_fmadd_ps(sub_scales, _mm512_set1_ps(of_centre), offsets);
            let most = LARGEST_SUB * (of_centre.abs() + of_offsets.abs());
            let (factor, inverse) = group_factors(most, OFFSET_LEVELS);
            let levels = _mm512_mul_ps(offsets, _mm512_set1_ps(inverse));
            integers = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(levels));
            offset_factor = factor;
        }
        _mm512_storeu_ps(tile.offsets[row].as_mut_ptr(), offsets);
        _mm256_storeu_si256(tile.offset_integers[row].as_mut_ptr().cast(), integers);
        tile.offset_factors[row] = offset_factor;
    }
}

/// Values of a row, centred, and what is known of them by groups: start values and sums of squares. The row's scales are
/// there.
///
/// # Safety
/// The block is whole, the machine has AVX-512 VNNI.
#[inline(always)]
unsafe fn decode_values<B: Vectors, D: InnerProduct>(block: &[u8], tile: &mut Tile, row: usize) {
    // SAFETY: the caller vouches for the block and the machine.
    let mut values = unsafe { B::vectors(block.as_ptr()) };
    // SAFETY: the caller vouches for the machine; the arrays have sixteen numbers, sub-scales of no group are zero.
    unsafe {
        for values in &mut values {
            *values = _mm512_sub_epi8(*values, _mm512_set1_epi8(Centred::<B>::CENTRE as i8));
        }
        store_values(values, &mut tile.values[row]);
        let starts = D::starts(values, B::GROUP);
        _mm512_storeu_si512(tile.starts[row].as_mut_ptr().cast(), starts);
        if Integers::<B, D>::STARTS_LATER {
            let sub_scales = _mm512_loadu_si512(tile.sub_scales[row].as_ptr().cast());
            // With a sign each, from the lower halves.
            let sub_scales = _mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(sub_scales));
            tile.totals[row] = _mm512_reduce_add_epi32(_mm512_mullo_epi32(sub_scales, starts));
        }
        if !Centred::<B>::ALWAYS_FIT {
            let mut eights = values;
            for eights in &mut eights {
                let magnitudes = _mm512_abs_epi8(*eights);
                let twos = _mm512_maddubs_epi16(magnitudes, magnitudes);
                let fours = _mm512_madd_epi16(twos, _mm512_set1_epi16(1));
                *eights = _mm512_maskz_add_epi32(0x5555, fours, _mm512_srli_epi64::<32>(fours));
            }
            let squares = by_groups(eights, B::GROUP);
            _mm512_storeu_ps(tile.squares[row].as_mut_ptr(), _mm512_cvtepi32_ps(squares));
        }
    }
}
