//! Half-precision tiles with AVX-512 VNNI: 6 rows by 32 tokens, or 12 by 16, in 24 accumulators.

use std::arch::x86_64::*;

use super::{Extent, GROUP, Int16Layout, Partial, SPAN, Tile};
use crate::matmul::activation::{LARGEST16, Panel16, TOKENS_PER_PANEL};
use crate::matmul::gemm::avx512::{prefetch_next, prefetch_results};
use crate::scales::group_factors;

/// How sixteen weights of 16 bits become F32.
pub(super) trait Half {
    /// # Safety
    /// The machine has AVX-512.
    unsafe fn widen(halves: __m256i) -> __m512;
}

pub(super) struct F16;
/// The upper halves of F32 weights.
pub(super) struct Bf16;

impl Half for F16 {
    #[inline(always)]
    unsafe fn widen(halves: __m256i) -> __m512 {
        // SAFETY: the caller vouches for the machine.
        unsafe { _mm512_cvtph_ps(halves) }
    }
}

impl Half for Bf16 {
    #[inline(always)]
    unsafe fn widen(halves: __m256i) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))) }
    }
}

/// Brings a row of up to [`SPAN`] weights to integers; a group that is not finite gets a scale that is not.
///
/// # Safety
/// The machine has AVX-512.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn decode<H: Half>(bytes: &[u8], values: &mut [i16; SPAN], scales: &mut [f32; SPAN / GROUP]) {
    let cols = bytes.len() / size_of::<u16>();
    for (group, first) in (0..cols).step_by(GROUP).enumerate() {
        let mut floats = [_mm512_setzero_ps(); GROUP / 16];
        let mut largest = _mm512_setzero_si512();
        for (floats, k) in floats.iter_mut().zip((first..).step_by(16)) {
            let rest = cols.saturating_sub(k).min(16);
            let mask = ((1u32 << rest) - 1) as u16;
            // SAFETY: of what lies beyond the last column nothing is read.
            *floats = unsafe { H::widen(_mm256_maskz_loadu_epi16(mask, bytes.as_ptr().cast::<i16>().wrapping_add(k))) };
            // As integers, magnitudes order like the floats, and infinities and NaN come last.
            let magnitude = _mm512_and_si512(_mm512_castps_si512(*floats), _mm512_set1_epi32(0x7fff_ffff));
            largest = _mm512_max_epi32(largest, magnitude);
        }
        let largest = f32::from_bits(_mm512_reduce_max_epi32(largest) as u32);
        let (scale, inverse) = group_factors(largest, LARGEST16);
        scales[group] = scale;
        let inverse = _mm512_set1_ps(inverse);
        for (floats, values) in floats.iter().zip(values[first..].as_chunks_mut::<16>().0) {
            let integers = _mm512_cvtps_epi32(_mm512_mul_ps(*floats, inverse));
            // SAFETY: the chunk has sixteen numbers.
            unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), _mm512_cvtsepi32_epi16(integers)) };
        }
    }
}

/// Fills the start values of a decoded row: less the products of each four's first and second two values.
///
/// # Safety
/// The machine has AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn fill_starts(values: &[i16; SPAN], starts: &mut [i32; SPAN / GROUP]) {
    for (values, start) in values.as_chunks::<GROUP>().0.iter().zip(starts) {
        let mut sums = _mm512_setzero_si512();
        for values in values.as_chunks::<32>().0 {
            // SAFETY: the chunk has 32 values.
            let values = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
            sums = _mm512_dpwssd_epi32(sums, values, _mm512_shuffle_epi32::<0b10_11_00_01>(values));
        }
        // Every other lane has the same sum as its neighbour.
        *start = _mm512_mask_reduce_add_epi32(0x5555, sums).wrapping_neg();
    }
}

/// # Safety
/// As [`super::MultiplyTile`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn multiply<const WINOGRAD: bool>(
    tile: &Tile,
    extent: Extent<'_, Int16Layout>,
    partial: *mut Partial,
) {
    let panels = extent.in_turn();
    let mut panel = panels.start;
    while panel < panels.end {
        // SAFETY: panels stay below extent.panels.
        panel += unsafe {
            match panels.end - panel {
                1 => multiply_panels::<WINOGRAD, 12, 1>(tile, &extent, panel, partial.add(panel)),
                _ => multiply_panels::<WINOGRAD, 6, 2>(tile, &extent, panel, partial.add(panel)),
            }
        };
    }
}

/// All rows of the tile times `C` panels, `R` rows at a time; gives `C`.
#[inline(always)]
unsafe fn multiply_panels<const WINOGRAD: bool, const R: usize, const C: usize>(
    tile: &Tile,
    extent: &Extent<'_, Int16Layout>,
    panel: usize,
    partial: *mut Partial,
) -> usize {
    let mut panels = [view(extent, panel); C];
    let mut next = [panels[0].values.cast::<u8>(); C];
    for c in 0..C {
        panels[c] = view(extent, panel + c);
        next[c] = if panel + C + c < extent.panels {
            view(extent, panel + C + c).values.cast()
        } else {
            // The first panels meet the tile of the next columns.
            view(extent, c.min(panel)).values.wrapping_add(extent.cols * TOKENS_PER_PANEL).cast()
        };
    }
    let steps = extent.rows.div_ceil(R);
    for step in 0..steps {
        for next in next {
            prefetch_next(next, extent.cols * TOKENS_PER_PANEL * size_of::<i16>(), step, steps);
        }
        if extent.ends() {
            prefetch_results(extent, panel, C, step, steps);
        }
        // Rows beyond those in use hold values of an earlier tile; their results are never stored.
        // SAFETY: rows stay below TILE_ROWS, a multiple of R.
        unsafe { micro_kernel::<WINOGRAD, R, C>(tile, step * R, panels, extent, partial) };
    }
    C
}

/// A panel, from the extent's first column on.
#[inline(always)]
fn view(extent: &Extent<'_, Int16Layout>, panel: usize) -> Panel16 {
    let view = extent.task.layout.panel(extent.task.prepared, extent.first_panel + panel);
    Panel16 {
        values: view.values.wrapping_add(extent.first_col * TOKENS_PER_PANEL),
        scales: view.scales.wrapping_add(extent.first_col / GROUP * TOKENS_PER_PANEL),
        starts: view.starts.wrapping_add(extent.first_col / GROUP * TOKENS_PER_PANEL),
    }
}

/// `R` rows from `row` on times `C` panels, over the columns of a tile.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn micro_kernel<const WINOGRAD: bool, const R: usize, const C: usize>(
    tile: &Tile,
    row: usize,
    panels: [Panel16; C],
    extent: &Extent<'_, Int16Layout>,
    partial: *mut Partial,
) {
    // SAFETY: rows and columns stay within the tile, and the panels cover the columns in whole groups.
    unsafe {
        let scales = tile.scales.as_ptr().add(row).cast::<f32>();
        let mut sums = [[_mm512_setzero_ps(); C]; R];
        if !extent.begins() {
            for c in 0..C {
                for r in 0..R {
                    sums[r][c] = _mm512_loadu_ps((*partial.add(c))[row + r].as_ptr());
                }
            }
        }
        for group in 0..extent.cols.div_ceil(GROUP) {
            let dots = match WINOGRAD {
                true => dots_by_winograd::<R, C>(tile, row, group, &panels),
                false => dots::<R, C>(tile, row, group, &panels),
            };
            for c in 0..C {
                let of_x = _mm512_loadu_ps(panels[c].scales.add(group * TOKENS_PER_PANEL));
                for r in 0..R {
                    // One after the other: the product of two small scales might vanish.
                    let scale = _mm512_set1_ps(*scales.add(r * (SPAN / GROUP) + group));
                    let product = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[r][c]), scale);
                    sums[r][c] = _mm512_fmadd_ps(product, of_x, sums[r][c]);
                }
            }
        }
        for c in 0..C {
            for r in 0..R {
                _mm512_storeu_ps((*partial.add(c))[row + r].as_mut_ptr(), sums[r][c]);
            }
        }
    }
}

/// The integer products of a group for `R` rows and `C` panels.
///
/// # Safety
/// As [`micro_kernel`], whose group it is.
#[inline(always)]
unsafe fn dots<const R: usize, const C: usize>(
    tile: &Tile,
    row: usize,
    group: usize,
    panels: &[Panel16; C],
) -> [[__m512i; C]; R] {
    // SAFETY: the caller vouches for the rows, the group and the panels.
    unsafe {
        let values = tile.values.as_ptr().add(row).cast::<i16>().add(group * GROUP);
        let mut dots = [[_mm512_setzero_si512(); C]; R];
        for k in 0..GROUP / 2 {
            let mut x = [_mm512_setzero_si512(); C];
            for (x, panel) in x.iter_mut().zip(panels) {
                *x = _mm512_loadu_si512(panel.values.add((group * GROUP / 2 + k) * 2 * TOKENS_PER_PANEL).cast());
            }
            for (r, dots) in dots.iter_mut().enumerate() {
                let w = _mm512_set1_epi32(values.add(r * SPAN + 2 * k).cast::<i32>().read_unaligned());
                for (dot, x) in dots.iter_mut().zip(x) {
                    *dot = _mm512_dpwssd_epi32(*dot, x, w);
                }
            }
        }
        dots
    }
}

/// The same with half the multiplications; numbers 1 and 2 of the formula are the first and second two of each four.
///
/// # Safety
/// As [`dots`].
#[inline(always)]
unsafe fn dots_by_winograd<const R: usize, const C: usize>(
    tile: &Tile,
    row: usize,
    group: usize,
    panels: &[Panel16; C],
) -> [[__m512i; C]; R] {
    // SAFETY: the caller vouches for the rows, the group and the panels.
    unsafe {
        let values = tile.values.as_ptr().add(row).cast::<i16>().add(group * GROUP);
        let mut dots = [[_mm512_setzero_si512(); C]; R];
        for c in 0..C {
            let of_x = _mm512_loadu_si512(panels[c].starts.add(group * TOKENS_PER_PANEL).cast());
            for (r, dots) in dots.iter_mut().enumerate() {
                dots[c] = _mm512_add_epi32(of_x, _mm512_set1_epi32(tile.starts[row + r][group]));
            }
        }
        for k in 0..GROUP / 4 {
            let mut x = [[_mm512_setzero_si512(); 2]; C];
            for (x, panel) in x.iter_mut().zip(panels) {
                let four = panel.values.add((group * GROUP + 4 * k) * TOKENS_PER_PANEL);
                let second = four.add(2 * TOKENS_PER_PANEL);
                *x = [_mm512_loadu_si512(four.cast()), _mm512_loadu_si512(second.cast())];
            }
            for (r, dots) in dots.iter_mut().enumerate() {
                let four = values.add(r * SPAN + 4 * k).cast::<i32>();
                let w1 = _mm512_set1_epi32(four.read_unaligned());
                let w2 = _mm512_set1_epi32(four.add(1).read_unaligned());
                for (dot, [x1, x2]) in dots.iter_mut().zip(x) {
                    *dot = _mm512_dpwssd_epi32(*dot, _mm512_add_epi16(x1, w2), _mm512_add_epi16(x2, w1));
                }
            }
        }
        dots
    }
}
