//! Formats whose groups have an F32 scale: a group's integer sum is brought to F32 and scaled.
//!
//! Where activations have a scale per group too, integer sums begin with the bits of the F32 [`RAISE`]: then they are the
//! bits of `RAISE + sum`, and one operation takes the conversion's and the multiplication's place. It is as exact as
//! those, since activations' scales have at most [`SCALE_BITS`] bits and so `RAISE * scale` is not rounded; with
//! activations of 3e33 and more it is infinite, and so is the result or it is not a number.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::super::{
    ActivationScales, Extent, GROUPS, Legacy, Legacy16, LegacyOffset, MultiplyTile, Partial, Scaling, Super16,
    Super16Offset, Super32, Super32Offset, Tile, Weights,
};
use super::{
    InnerProduct, MicroKernel, add_to_partial, load_values, middle, multiply_tile, prefetch_partial, store_values,
};
use crate::matmul::activation::{PanelView, SCALE_BITS, TOKENS_PER_PANEL};
use crate::matmul::integers::{IntegerFormat, Offsets};

/// As [`super::gemm`].
pub(super) fn multiply<D: InnerProduct>(format: IntegerFormat) -> Option<MultiplyTile> {
    Some(match (format.block_len, format.group, format.offsets) {
        (256, 32, Offsets::None) => multiply_tile::<Scaled<Super32, D>>,
        (256, 32, Offsets::PerGroup) => multiply_tile::<Scaled<Super32Offset, D>>,
        (256, 16, Offsets::None) => multiply_tile::<Scaled<Super16, D>>,
        (256, 16, Offsets::PerGroup) => multiply_tile::<Scaled<Super16Offset, D>>,
        (_, 32, Offsets::None) => multiply_tile::<Scaled<Legacy, D>>,
        (_, 32, Offsets::PerGroup) => multiply_tile::<Scaled<LegacyOffset, D>>,
        (_, 16, Offsets::None) => multiply_tile::<Scaled<Legacy16, D>>,
        _ => return None,
    })
}

/// 1.5 * 2^23, in whose neighbourhood bits count whole numbers; sums of groups are below 2^20.
const RAISE: f32 = 12_582_912.0;
const _: () = assert!(SCALE_BITS + 2 <= f32::MANTISSA_DIGITS, "three times a scale is not rounded");

struct Scaled<S, D>(PhantomData<(S, D)>);

impl<S: Scaling, D: InnerProduct> MicroKernel for Scaled<S, D> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn run<const R: usize, const C: usize>(
        tile: &Tile,
        row: usize,
        panels: [PanelView; C],
        extent: &Extent<'_>,
        partial: *mut Partial,
    ) {
        // SAFETY: the caller vouches for the same.
        unsafe {
            let scales = tile.scales.as_ptr().add(row).cast::<f32>();
            let offsets = tile.offsets.as_ptr().add(row).cast::<f32>();
            prefetch_partial::<R, C>(partial, row);
            let mut sums = [[_mm512_setzero_ps(); C]; R];
            let groups = extent.cols / S::GROUP;
            let mut group = 0;
            // There is a first group; where the compiler does not know, it moves all sums from register to register.
            loop {
                let dots = match S::GROUP {
                    16 => D::dots::<16, false, R, C>(tile, row, group, &panels),
                    _ => D::dots::<32, false, R, C>(tile, row, group, &panels),
                };
                for c in 0..C {
                    for r in 0..R {
                        let product = match S::ACTIVATIONS {
                            ActivationScales::PerSpan => _mm512_cvtepi32_ps(dots[r][c]),
                            ActivationScales::PerGroup => {
                                let scale = panels[c].scales.add(group * S::GROUP / 32 * TOKENS_PER_PANEL);
                                let scale = _mm512_loadu_ps(scale);
                                let raised = _mm512_mul_ps(scale, _mm512_set1_ps(-RAISE));
                                _mm512_fmadd_ps(_mm512_castsi512_ps(dots[r][c]), scale, raised)
                            }
                        };
                        let scale = _mm512_set1_ps(*scales.add(r * GROUPS + group));
                        sums[r][c] = _mm512_fmadd_ps(product, scale, sums[r][c]);
                        if S::OFFSETS == Offsets::PerGroup {
                            let of_x = if S::GROUP == 32 { panels[c].sums32 } else { panels[c].sums16 };
                            let of_x = _mm512_loadu_ps(of_x.add(group * TOKENS_PER_PANEL));
                            let offset = _mm512_set1_ps(*offsets.add(r * GROUPS + group));
                            sums[r][c] = _mm512_fmadd_ps(of_x, offset, sums[r][c]);
                        }
                    }
                }
                group += 1;
                if group == groups {
                    break;
                }
            }
            if S::ACTIVATIONS == ActivationScales::PerSpan {
                add_to_partial(sums, panels, extent.begins(), partial, row);
                return;
            }
            let present = if extent.begins() { 0 } else { 0xffff };
            for c in 0..C {
                for r in 0..R {
                    let to = (*partial.add(c))[row + r].as_mut_ptr();
                    _mm512_storeu_ps(to, _mm512_add_ps(_mm512_maskz_loadu_ps(present, to), sums[r][c]));
                }
            }
        }
    }
}

/// What is taken off each value.
pub(super) fn centre<D: InnerProduct>(format: &IntegerFormat) -> i8 {
    match format.offsets {
        Offsets::PerGroup if D::CENTRES => middle((format.smallest, format.largest)) as i8,
        _ => 0,
    }
}

/// Smallest and largest value of a decoded row.
pub(super) fn range<D: InnerProduct>(format: &IntegerFormat) -> (i32, i32) {
    let centred = |value| i32::from(value) - i32::from(centre::<D>(format));
    (centred(format.smallest), centred(format.largest))
}

/// Decodes weights as their format does, and brings them to the form that is multiplied.
///
/// # Safety
/// As [`super::DecodeTile`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn decode<D: InnerProduct>(format: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    // SAFETY: the caller vouches for the machine; a row of the tile has sixteen groups.
    unsafe {
        super::super::decode(format, weights, tile);
        // Not row by row: what a row's decoding stored is by then in the cache, where vectors of any length find it.
        for row in 0..weights.rows {
            let scales = _mm512_loadu_ps(tile.scales[row].as_ptr());
            let offsets = _mm512_loadu_ps(tile.offsets[row].as_ptr());
            let decoded = Row { values: load_values(&tile.values[row]), scales, offsets };
            finish::<D>(decoded, centre::<D>(format), format.group, !format.has_super_blocks(), tile, row);
        }
    }
}

/// A row as it is decoded.
pub(super) struct Row {
    pub values: [__m512i; 4],
    pub scales: __m512,
    pub offsets: __m512,
}

/// Keeps a row, with `centre` taken off its values, in groups of `group` values; their start values may have the bits of
/// [`RAISE`].
///
/// # Safety
/// The machine has AVX-512 VNNI.
#[inline(always)]
pub(super) unsafe fn finish<D: InnerProduct>(
    row: Row,
    centre: i8,
    group: usize,
    raise: bool,
    tile: &mut Tile,
    at: usize,
) {
    let Row { mut values, scales, mut offsets } = row;
    // SAFETY: the caller vouches for the machine; a row of the tile has sixteen groups.
    unsafe {
        if centre != 0 {
            for values in &mut values {
                *values = _mm512_sub_epi8(*values, _mm512_set1_epi8(centre));
            }
            offsets = _mm512_add_ps(offsets, _mm512_mul_ps(_mm512_set1_ps(centre.into()), scales));
        }
        store_values(values, &mut tile.values[at]);
        let mut starts = D::starts(values, group);
        if raise {
            starts = _mm512_add_epi32(starts, _mm512_set1_epi32(RAISE.to_bits() as i32));
        }
        _mm512_storeu_ps(tile.scales[at].as_mut_ptr(), scales);
        _mm512_storeu_ps(tile.offsets[at].as_mut_ptr(), offsets);
        _mm512_storeu_si512(tile.starts[at].as_mut_ptr().cast(), starts);
    }
}
