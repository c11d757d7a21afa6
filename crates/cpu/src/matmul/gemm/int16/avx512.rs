//! Half-precision tiles with AVX-512 VNNI: 6 rows by 32 tokens, or 12 by 16, in 24 accumulators.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Extent, GROUP, Int16Layout, Partial, SPAN, TILE_ROWS, Tile, Weights};
use crate::matmul::activation::{LARGEST16, Panel16, TOKENS_PER_PANEL};
use crate::matmul::gemm::avx512::prefetch_results;
use crate::scales::group_factors;

/// How weights of 16 bits become F32 and integers.
pub(super) trait Half {
    /// One weight as F32.
    ///
    /// # Safety
    /// The machine has AVX-512.
    unsafe fn widen(half: u16) -> f32;

    /// 32 weights times `inverse`, rounded to integers, of which none needs more than 16 bits.
    ///
    /// # Safety
    /// The machine has AVX-512.
    unsafe fn integers(halves: __m512i, inverse: __m512) -> __m512i;
}

pub(super) struct F16;
/// The upper halves of F32 weights.
pub(super) struct Bf16;

impl Half for F16 {
    #[inline(always)]
    unsafe fn widen(half: u16) -> f32 {
        // SAFETY: the caller vouches for the machine.
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half.into()))) }
    }

    #[inline(always)]
    unsafe fn integers(halves: __m512i, inverse: __m512) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let low = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
            let high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(halves));
            let low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
            let high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
            // Quarters of the two alternate.
            let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
            _mm512_permutexvar_epi64(order, _mm512_packs_epi32(low, high))
        }
    }
}

impl Half for Bf16 {
    #[inline(always)]
    unsafe fn widen(half: u16) -> f32 {
        f32::from_bits(u32::from(half) << 16)
    }

    #[inline(always)]
    unsafe fn integers(halves: __m512i, inverse: __m512) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves));
            let odd = _mm512_castsi512_ps(_mm512_and_si512(halves, _mm512_set1_epi32(!0xffff)));
            let even = _mm512_cvtps_epi32(_mm512_mul_ps(even, inverse));
            let odd = _mm512_cvtps_epi32(_mm512_mul_ps(odd, inverse));
            _mm512_mask_blend_epi16(0xaaaa_aaaa, even, _mm512_slli_epi32::<16>(odd))
        }
    }
}

/// Brings weights to integers; a group that is not finite gets a scale that is not.
///
/// # Safety
/// As [`super::DecodeTile`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn decode<H: Half, const WINOGRAD: bool>(weights: Weights<'_>, tile: &mut Tile) {
    for row in 0..weights.rows {
        let groups = weights.row(row).chunks(GROUP * size_of::<u16>()).enumerate();
        for (group, bytes) in groups {
            let mut padded = [0; GROUP * size_of::<u16>()];
            let bytes = bytes.try_into().unwrap_or_else(|_| {
                padded[..bytes.len()].copy_from_slice(bytes);
                &padded
            });
            let values = &mut tile.values[row].as_chunks_mut().0[group];
            // SAFETY: the caller vouches for the machine.
            tile.scales[row][group] = unsafe { decode_group::<H>(bytes, values) };
            if WINOGRAD {
                tile.starts[row][group] = start(values);
            }
        }
    }
}

/// Brings a group to integers, and gives its scale.
///
/// # Safety
/// The machine has AVX-512 VNNI.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn decode_group<H: Half>(bytes: &[u8; GROUP * size_of::<u16>()], values: &mut [i16; GROUP]) -> f32 {
    let vectors = bytes.as_chunks::<64>().0;
    // As integers, magnitudes order like the floats, and infinities and NaN come last.
    let mut largest = _mm512_setzero_si512();
    for vector in vectors {
        // SAFETY: the chunk has 64 bytes.
        let halves = unsafe { _mm512_loadu_si512(vector.as_ptr().cast()) };
        largest = _mm512_max_epu16(largest, _mm512_and_si512(halves, _mm512_set1_epi16(0x7fff)));
    }
    let largest = _mm256_max_epu16(_mm512_castsi512_si256(largest), _mm512_extracti64x4_epi64::<1>(largest));
    let largest = _mm_max_epu16(_mm256_castsi256_si128(largest), _mm256_extracti128_si256::<1>(largest));
    // There is an instruction for the smallest.
    let ones = _mm_set1_epi16(-1);
    let largest = _mm_extract_epi16::<0>(_mm_xor_si128(_mm_minpos_epu16(_mm_xor_si128(largest, ones)), ones));
    // SAFETY: the caller vouches for the machine.
    let (scale, inverse) = group_factors(unsafe { H::widen(largest as u16) }, LARGEST16);
    let inverse = _mm512_set1_ps(inverse);
    for (vector, values) in vectors.iter().zip(values.as_chunks_mut::<32>().0) {
        // SAFETY: the chunks have 64 bytes and 32 numbers.
        unsafe {
            let integers = H::integers(_mm512_loadu_si512(vector.as_ptr().cast()), inverse);
            _mm512_storeu_si512(values.as_mut_ptr().cast(), integers);
        }
    }
    scale
}

/// The start value of a decoded group: less the products of each four's first and second two values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn start(values: &[i16; GROUP]) -> i32 {
    let mut sums = _mm512_setzero_si512();
    for values in values.as_chunks::<32>().0 {
        // SAFETY: the chunk has 32 values.
        let values = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
        sums = _mm512_dpwssd_epi32(sums, values, _mm512_shuffle_epi32::<0b10_11_00_01>(values));
    }
    // Every other lane has the same sum as its neighbour.
    _mm512_mask_reduce_add_epi32(0x5555, sums).wrapping_neg()
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
    const { assert!(R * C == 12, "what a step asks for is a twelfth of what rows and panels need") };
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
        // Each step asks for its share of the next panels.
        let bytes = extent.cols * TOKENS_PER_PANEL * size_of::<i16>();
        let place = step * C * bytes / steps;
        let ahead = next[place / bytes].wrapping_add(place % bytes);
        if extent.ends() {
            prefetch_results(extent, panel, C, step, steps);
        }
        // Rows beyond those in use hold values of an earlier tile; their results are never stored.
        // SAFETY: rows stay below TILE_ROWS, a multiple of R.
        unsafe { micro_kernel::<WINOGRAD, R, C>(tile, step * R, panels, ahead, extent, partial) };
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

/// `R` rows from `row` on times `C` panels, over the columns of a tile; asks for the next panels from `ahead` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn micro_kernel<const WINOGRAD: bool, const R: usize, const C: usize>(
    tile: &Tile,
    row: usize,
    panels: [Panel16; C],
    ahead: *const u8,
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
                true => dots_by_winograd::<R, C>(tile, row, group, &panels, ahead),
                false => dots::<R, C>(tile, row, group, &panels, ahead),
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

/// Asks for the part of the next panels that goes with some columns, for the second cache level: the first has no room.
/// A little at a time, among the products; loops for all of it would hold those up. Tiles of fewer rows than they could
/// have do not ask for all.
#[inline(always)]
fn prefetch_ahead(ahead: *const u8, col: usize, cols: usize) {
    // A step's share, twelve products of a row with a panel, is as much of the panels as so many of their tokens.
    const TOKENS: usize = 12 * TOKENS_PER_PANEL / TILE_ROWS;
    const BYTES: usize = TOKENS * size_of::<i16>();
    for line in (0..BYTES * cols).step_by(64) {
        // SAFETY: prefetching never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(BYTES * col + line).cast()) };
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
    ahead: *const u8,
) -> [[__m512i; C]; R] {
    // SAFETY: the caller vouches for the rows, the group and the panels.
    unsafe {
        let values = tile.values.as_ptr().add(row).cast::<i16>().add(group * GROUP);
        let mut dots = [[_mm512_setzero_si512(); C]; R];
        for first in (0..GROUP).step_by(16) {
            let col = group * GROUP + first;
            prefetch_ahead(ahead, col, 16);
            // Not a loop: the compiler would leave it one, whose own instructions cost a tenth.
            two(&mut dots, values.add(first), panels, col);
            two(&mut dots, values.add(first + 2), panels, col + 2);
            two(&mut dots, values.add(first + 4), panels, col + 4);
            two(&mut dots, values.add(first + 6), panels, col + 6);
            two(&mut dots, values.add(first + 8), panels, col + 8);
            two(&mut dots, values.add(first + 10), panels, col + 10);
            two(&mut dots, values.add(first + 12), panels, col + 12);
            two(&mut dots, values.add(first + 14), panels, col + 14);
        }
        dots
    }
}

/// Adds the products of two columns, from `col` on, whose weights are at `values`.
///
/// # Safety
/// As [`dots`].
#[inline(always)]
unsafe fn two<const R: usize, const C: usize>(
    dots: &mut [[__m512i; C]; R],
    values: *const i16,
    panels: &[Panel16; C],
    col: usize,
) {
    // SAFETY: the caller vouches for the values and the panels.
    unsafe {
        let mut x = [_mm512_setzero_si512(); C];
        for (x, panel) in x.iter_mut().zip(panels) {
            *x = _mm512_loadu_si512(panel.values.add(col * TOKENS_PER_PANEL).cast());
        }
        for (r, dots) in dots.iter_mut().enumerate() {
            let w = _mm512_set1_epi32(values.add(r * SPAN).cast::<i32>().read_unaligned());
            for (dot, x) in dots.iter_mut().zip(x) {
                *dot = add_pairs(*dot, x, w);
            }
        }
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
    ahead: *const u8,
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
        prefetch_ahead(ahead, group * GROUP, GROUP);
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

/// `_mm512_dpwssd_epi32`, which the compiler would make two instructions of in long chains.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_pairs(mut sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
    // SAFETY: the instruction touches these registers only, and the machine has it.
    unsafe {
        asm!("vpdpwssd {0}, {1}, {2}", inout(zmm_reg) sums, in(zmm_reg) x, in(zmm_reg) w,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}
