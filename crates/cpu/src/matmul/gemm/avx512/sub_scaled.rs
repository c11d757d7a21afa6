//! Super-blocks whose groups' scales are small integers times one factor: the products stay integers until the end.
//!
//! A group's sum of products fits 16 bits: always, where values are few bits from zero (so Q4_K's are moved there, which
//! its offsets make up for), and else nearly always, which the sums of squares on both sides show. One dot product of 16
//! bits then both scales a group's sum and adds it up, where F32 takes a conversion and a multiplication.
//!
//! Offsets are integers times a factor too, and meet the sums of two groups' activations at once. Where values were
//! moved, an offset has parts of two factors; then it is rounded to 16 bits of the largest that the block could have.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use ascua_gguf::TensorType;

use super::super::{Extent, GROUPS, Partial, Tile, TileRow};
use super::{InnerProduct, Kernels, MicroKernel, add_to_partial, middle, multiply_tile, prefetch_partial};
use crate::matmul::activation::{PanelView, TOKENS_PER_PANEL};
use crate::matmul::integers::{IntegerFormat, Offsets, Q2K, Q3K, Q4K, Q5K, Q6K, SPAN, SubScaled};
use crate::scales::group_factors;

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

fn of<B: SubScaled, D: InnerProduct>() -> Kernels {
    let range = [B::RANGE.0, B::RANGE.1].map(|value| i32::from(value) - Centred::<B>::CENTRE);
    Kernels {
        decode: decode::<B>,
        finish: finish::<B, D>,
        multiply: multiply_tile::<Integers<B, D>>,
        range: (range[0], range[1]),
    }
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
/// As [`DecodeRow`]: the bytes are a whole block, the machine has AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn decode<B: SubScaled>(_: &IntegerFormat, block: &[u8], row: &mut TileRow<'_>) {
    let block = &block[..B::BYTES];
    let (mut sub_scales, mut sub_offsets) = ([0i16; GROUPS], [0i16; GROUPS]);
    let groups = SPAN / B::GROUP;
    let factors = B::sub_scales(block, &mut sub_scales[..groups], &mut sub_offsets[..groups]);
    // Not into the row at once: the compiler does not know that it lies apart from the block, and would go by bytes.
    let mut values = [0i8; SPAN];
    B::values(block, &mut values);
    *row.values = values;
    *row.factor = factors.scales;
    // SAFETY: each array has sixteen elements.
    unsafe {
        let sub_scales = _mm256_loadu_si256(sub_scales.as_ptr().cast());
        // The lower halves; the upper are zero.
        _mm512_storeu_si512(row.sub_scales.as_mut_ptr().cast(), _mm512_cvtepu16_epi32(sub_scales));
        let sub_scales = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(sub_scales));
        let times = |v, factor| _mm512_mul_ps(v, _mm512_set1_ps(factor));
        _mm512_storeu_ps(row.scales.as_mut_ptr(), times(sub_scales, factors.scales));
        let mut integers = _mm256_loadu_si256(sub_offsets.as_ptr().cast());
        let mut offsets = times(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(integers)), factors.offsets);
        *row.offset_factor = factors.offsets;
        if Centred::<B>::CENTRE != 0 {
            let of_centre = Centred::<B>::CENTRE as f32 * factors.scales;
            offsets = _mm512_fmadd_ps(sub_scales, _mm512_set1_ps(of_centre), offsets);
            let most = LARGEST_SUB * (of_centre.abs() + factors.offsets.abs());
            let (factor, inverse) = group_factors(most, OFFSET_LEVELS);
            integers = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(times(offsets, inverse)));
            *row.offset_factor = factor;
        }
        _mm512_storeu_ps(row.offsets.as_mut_ptr(), offsets);
        _mm256_storeu_si256(row.offset_integers.as_mut_ptr().cast(), integers);
    }
}

/// # Safety
/// As [`FinishRow`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn finish<B: SubScaled, D: InnerProduct>(_: &IntegerFormat, row: &mut TileRow<'_>) {
    let centre = Centred::<B>::CENTRE as i8;
    let mut fours = [_mm512_setzero_si512(); 4];
    for (values, fours) in row.values.as_chunks_mut::<64>().0.iter_mut().zip(&mut fours) {
        // SAFETY: the chunk has 64 values.
        unsafe {
            let centred = _mm512_sub_epi8(_mm512_loadu_si512(values.as_ptr().cast()), _mm512_set1_epi8(centre));
            if centre != 0 {
                _mm512_storeu_si512(values.as_mut_ptr().cast(), centred);
            }
            let magnitudes = _mm512_abs_epi8(centred);
            let twos = _mm512_maddubs_epi16(magnitudes, magnitudes);
            *fours = _mm512_madd_epi16(twos, _mm512_set1_epi16(1));
        }
    }
    // SAFETY: the caller vouches for the machine.
    unsafe { D::fill_starts(row, B::GROUP) };
    if Integers::<B, D>::STARTS_LATER {
        // SAFETY: the arrays have sixteen numbers; sub-scales of no group are zero.
        let (sub_scales, starts) = unsafe {
            let sub_scales = _mm512_loadu_si512(row.sub_scales.as_ptr().cast());
            (sub_scales, _mm512_loadu_si512(row.starts.as_ptr().cast()))
        };
        // With a sign each, from the lower halves.
        let sub_scales = _mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(sub_scales));
        *row.total = _mm512_reduce_add_epi32(_mm512_mullo_epi32(sub_scales, starts));
    }
    if !Centred::<B>::ALWAYS_FIT {
        let sixteens = sums_of_two(sums_of_two(fours[0], fours[1]), sums_of_two(fours[2], fours[3]));
        let squares = match B::GROUP {
            16 => sixteens,
            _ => sums_of_two(sixteens, _mm512_setzero_si512()),
        };
        // SAFETY: the array has sixteen numbers.
        unsafe { _mm512_storeu_ps(row.squares.as_mut_ptr(), _mm512_cvtepi32_ps(squares)) };
    }
}

/// Sums of neighbours: eight from each of the two.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sums_of_two(a: __m512i, b: __m512i) -> __m512i {
    let pairs = |v| _mm512_cvtepi64_epi32(_mm512_add_epi32(v, _mm512_srli_epi64::<32>(v)));
    join(pairs(a), pairs(b))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn join(low: __m256i, high: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}
