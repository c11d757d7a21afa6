//! The GEMM with AVX-512 VNNI: 6 rows by 32 tokens, or 12 by 16, in 24 accumulators.
//!
//! [`inner_product`] has the two ways to sum a group's products. [`scaled`] has the formats whose groups have a scale of
//! their own, [`sub_scaled`] those whose scales are integers.

mod blocks32;
mod inner_product;
mod lattice;
mod scaled;
mod sub_scaled;

use std::arch::x86_64::*;

use ascua_gguf::TensorType;

use super::{DecodeTile, Extent, Gemm, MultiplyTile, Partial, Tile};
use crate::matmul::activation::{PanelView, TOKENS_PER_PANEL};
use crate::matmul::integers::{IntegerFormat, SPAN};
use inner_product::{Direct, InnerProduct, Winograd};

/// The kernels of a type.
pub(super) fn gemm(weight: TensorType, format: IntegerFormat) -> Option<Gemm> {
    gemm_by::<Direct>(weight, format)
}

/// The kernels of a type where additions run beside multiplications.
pub(super) fn gemm_with_cheap_additions(weight: TensorType, format: IntegerFormat) -> Option<Gemm> {
    let precise = |gemm: &Gemm| gemm.panels.largest() >= WINOGRAD_LEVELS;
    gemm_by::<Winograd>(weight, format).filter(precise).or_else(|| gemm(weight, format))
}

fn gemm_by<D: InnerProduct>(weight: TensorType, format: IntegerFormat) -> Option<Gemm> {
    let kernels = sub_scaled::kernels::<D>(weight).or_else(|| {
        let decode = blocks32::decode::<D>(weight).or_else(|| lattice::decode::<D>(weight));
        let decode = decode.unwrap_or(scaled::decode::<D>);
        Some(Kernels { decode, multiply: scaled::multiply::<D>(format)?, range: scaled::range::<D>(&format) })
    })?;
    let Kernels { decode, multiply, range: (smallest, largest) } = kernels;
    Some(Gemm { decode, multiply, panels: D::panels(smallest, largest) })
}

/// How the rows of a type are decoded, and the product of its tiles.
struct Kernels {
    decode: DecodeTile,
    multiply: MultiplyTile,
    /// Smallest and largest value of decoded rows.
    range: (i32, i32),
}

/// What centres values of a range around zero when taken off.
const fn middle((smallest, largest): (i8, i8)) -> i32 {
    (smallest as i32 + largest as i32 + 1) / 2
}

/// Activations keep at least as many levels in products by Winograd's way: those that weights of five bits leave.
const WINOGRAD_LEVELS: f32 = 112.0;

/// A product of `R` rows with `C` panels.
trait MicroKernel {
    /// `R` rows from `row` on times `C` panels, over the columns of a tile.
    ///
    /// # Safety
    /// Rows and columns stay within the tile, the panels cover the columns, `partial` is the panels'; the machine has
    /// AVX-512 VNNI.
    unsafe fn run<const R: usize, const C: usize>(
        tile: &Tile,
        row: usize,
        panels: [PanelView; C],
        extent: &Extent<'_>,
        partial: *mut Partial,
    );
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn multiply_tile<K: MicroKernel>(tile: &Tile, extent: Extent<'_>, partial: *mut Partial) {
    let panels = extent.in_turn();
    let mut panel = panels.start;
    while panel < panels.end {
        // SAFETY: panels stay below extent.panels.
        panel += unsafe {
            match panels.end - panel {
                1 => multiply_panels::<K, 12, 1>(tile, extent, panel, partial.add(panel)),
                _ => multiply_panels::<K, 6, 2>(tile, extent, panel, partial.add(panel)),
            }
        };
    }
}

/// All rows of the tile times `C` panels, `R` rows at a time; gives `C`.
#[inline(always)]
unsafe fn multiply_panels<K: MicroKernel, const R: usize, const C: usize>(
    tile: &Tile,
    extent: Extent<'_>,
    panel: usize,
    partial: *mut Partial,
) -> usize {
    let mut panels = [extent.panel(panel); C];
    let mut next = [extent.panel(panel).values; C];
    for c in 0..C {
        panels[c] = extent.panel(panel + c);
        next[c] = if panel + C + c < extent.panels {
            extent.panel(panel + C + c).values
        } else {
            // The first panels meet the tile of the next columns.
            extent.panel(c.min(panel)).values.wrapping_add(extent.cols * TOKENS_PER_PANEL)
        };
    }
    let steps = extent.rows.div_ceil(R);
    for step in 0..steps {
        for next in next {
            prefetch_next(next, extent.cols * TOKENS_PER_PANEL, step, steps);
        }
        if extent.ends() {
            prefetch_results(&extent, panel, C, step, steps);
        }
        // Rows beyond those in use hold values of an earlier tile; their results are never stored.
        // SAFETY: rows stay below TILE_ROWS, a multiple of R.
        unsafe { K::run::<R, C>(tile, step * R, panels, &extent, partial) };
    }
    C
}

/// Asks for this step's share of the `bytes` that the next step of panels reads, for the second cache level: the first
/// has no room.
#[inline(always)]
fn prefetch_next(from: *const u8, bytes: usize, step: usize, steps: usize) {
    let share = bytes.div_ceil(steps).next_multiple_of(64);
    for line in (step * share..(step + 1) * share).step_by(64) {
        // SAFETY: prefetching never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(line).cast()) };
    }
}

/// Asks for this step's share of the lines that the tile's results of `panels` from `panel` on will be written to.
#[inline(always)]
pub(super) fn prefetch_results<L>(extent: &Extent<'_, L>, panel: usize, panels: usize, step: usize, steps: usize) {
    let share = (panels * TOKENS_PER_PANEL).div_ceil(steps);
    let first = (extent.first_panel + panel) * TOKENS_PER_PANEL + step * share;
    for token in first..(first + share).min(extent.task.tokens) {
        // SAFETY: the token is one of the task's; prefetching never faults.
        unsafe {
            let results = extent.task.out.row(token).wrapping_add(extent.first_row);
            for row in (0..extent.rows).step_by(16) {
                _mm_prefetch::<_MM_HINT_ET0>(results.wrapping_add(row).cast());
            }
        }
    }
}

/// Asks for partial results.
#[inline(always)]
unsafe fn prefetch_partial<const R: usize, const C: usize>(partial: *mut Partial, row: usize) {
    for c in 0..C {
        for r in 0..R {
            // SAFETY: the caller's partial results are of `C` panels.
            unsafe { _mm_prefetch::<_MM_HINT_T0>((*partial.add(c))[row + r].as_ptr().cast()) };
        }
    }
}

/// Adds sums times the activations' factors to the partial results, or begins those with them.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn add_to_partial<const R: usize, const C: usize>(
    sums: [[__m512; C]; R],
    panels: [PanelView; C],
    begins: bool,
    partial: *mut Partial,
    row: usize,
) {
    let present = if begins { 0 } else { 0xffff };
    for c in 0..C {
        for r in 0..R {
            // SAFETY: the caller's partial results are of `C` panels, and so are the factors.
            unsafe {
                let to = (*partial.add(c))[row + r].as_mut_ptr();
                let before = _mm512_maskz_loadu_ps(present, to);
                _mm512_storeu_ps(to, _mm512_fmadd_ps(sums[r][c], _mm512_loadu_ps(panels[c].scales), before));
            }
        }
    }
}

/// The 128-bit lanes of two vectors in turn.
#[inline(always)]
unsafe fn lanes_in_turn(low: __m512i, high: __m512i) -> [__m512i; 2] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        [_mm512_permutex2var_epi64(low, first, high), _mm512_permutex2var_epi64(low, second, high)]
    }
}

/// A row's values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn load_values(values: &[i8; SPAN]) -> [__m512i; 4] {
    let mut vectors = [_mm512_setzero_si512(); 4];
    for (vector, values) in vectors.iter_mut().zip(values.as_chunks::<64>().0) {
        // SAFETY: the chunk has 64 values.
        *vector = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
    }
    vectors
}

/// Keeps a row's values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn store_values(vectors: [__m512i; 4], values: &mut [i8; SPAN]) {
    for (vector, values) in vectors.into_iter().zip(values.as_chunks_mut::<64>().0) {
        // SAFETY: the chunk has 64 values.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), vector) };
    }
}

/// Sums of `group` values, 16 or 32, of a row whose eights have theirs in 64-bit numbers with nothing in the upper halves.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn by_groups(eights: [__m512i; 4], group: usize) -> __m512i {
    // Two quarters of the row in one vector, and sums of sixteen in both of its neighbours; then lane i has the sums of
    // values 16 * i to 16 * i + 15 of the four quarters.
    let two = |first, second| _mm512_or_si512(first, _mm512_slli_epi64::<32>(second));
    let sixteens = |two| _mm512_add_epi32(two, _mm512_shuffle_epi32::<0b01_00_11_10>(two));
    let (first, second) = (sixteens(two(eights[0], eights[1])), sixteens(two(eights[2], eights[3])));
    let mut sums = _mm512_mask_blend_epi64(0b1010_1010, first, second);
    let mut order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    if group == 32 {
        sums = _mm512_add_epi32(sums, _mm512_shuffle_i32x4::<0b10_11_00_01>(sums, sums));
        order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 0, 8, 1, 9, 2, 10, 3, 11);
    }
    _mm512_permutexvar_epi32(order, sums)
}
