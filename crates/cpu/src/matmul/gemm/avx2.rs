//! The GEMM with AVX2: 3 rows by 16 tokens.
//!
//! `vpmaddubsw` adds pairs of products in 16 bits. Types of at most six bits become unsigned, with their zero taken
//! off through the activations' sums, and as many pairs are added in 16 bits as cannot overflow; the wider types pay
//! for a change of signs.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{
    ActivationScales, Extent, GROUPS, Legacy, Legacy16Offset, LegacyOffset, MultiplyTile, Partial, Scaling, Super16,
    Super16Offset, Super32, Super32Offset, Tile, TileRow,
};
use crate::matmul::activation::{PanelView, TOKENS_PER_PANEL};
use crate::matmul::integers::{IntegerFormat, Offsets, SPAN};
use crate::matmul::quantised::Task;

pub(super) fn multiply(format: IntegerFormat) -> Option<MultiplyTile> {
    let range = i16::from(format.largest) - i16::from(format.smallest);
    Some(match (format.block_len, format.group, range) {
        (256, 32, 0..=15) => multiply_tile::<Super32Offset, Unsigned<8>>,
        (256, 32, 16..=31) => multiply_tile::<Super32Offset, Unsigned<4>>,
        (256, 32, 32..=63) => multiply_tile::<Super32Offset, Unsigned<2>>,
        (256, 16, 0..=15) => multiply_tile::<Super16Offset, Unsigned<4>>,
        (256, 16, 16..=63) => multiply_tile::<Super16Offset, Unsigned<2>>,
        (_, 32, 0..=15) => multiply_tile::<LegacyOffset, Unsigned<8>>,
        (_, 32, 16..=31) => multiply_tile::<LegacyOffset, Unsigned<4>>,
        (_, 32, 32..=63) => multiply_tile::<LegacyOffset, Unsigned<2>>,
        (_, 16, 0..=31) => multiply_tile::<Legacy16Offset, Unsigned<4>>,
        (256, 16, _) if format.offsets == Offsets::None => multiply_tile::<Super16, Signed>,
        (256, 32, _) if format.offsets == Offsets::None => multiply_tile::<Super32, Signed>,
        (_, 32, _) if format.offsets == Offsets::None => multiply_tile::<Legacy, Signed>,
        _ => return None,
    })
}

/// How bytes are multiplied.
trait Bytes {
    /// Pairs of products that may be added in 16 bits: divides the four or eight of a group.
    const PAIRS: usize;
    /// Adds products by pairs: `w` broadcast weights, `x` activations.
    unsafe fn multiply_add(sum: __m256i, w: __m256i, x: __m256i) -> __m256i;
}

/// Weights of `15 * 8 / PAIRS` and less, unsigned.
struct Unsigned<const PAIRS: usize>;

impl<const PAIRS: usize> Bytes for Unsigned<PAIRS> {
    const PAIRS: usize = PAIRS;

    #[inline(always)]
    unsafe fn multiply_add(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: only called from `multiply_tile`.
        unsafe { _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x)) }
    }
}

struct Signed;

impl Bytes for Signed {
    const PAIRS: usize = 1;

    #[inline(always)]
    unsafe fn multiply_add(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: only called from `multiply_tile`; one pair is at most 2 * 128 * 127.
        unsafe { _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))) }
    }
}

/// Brings a decoded row to what [`Bytes`] expects.
///
/// # Safety
/// The machine has AVX2.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn finish(format: &IntegerFormat, row: &mut TileRow<'_>) {
    if i16::from(format.largest) - i16::from(format.smallest) > 63 {
        return;
    }
    let zero = -format.smallest;
    if format.offsets == Offsets::None {
        row.offsets.fill(0.0);
    }
    if zero != 0 {
        for value in row.values.iter_mut() {
            *value += zero;
        }
        for (offset, scale) in row.offsets.iter_mut().zip(&*row.scales) {
            *offset -= f32::from(zero) * scale;
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn multiply_tile<S: Scaling, B: Bytes>(tile: &Tile, extent: Extent, partial: *mut Partial) {
    for panel in 0..extent.panels {
        for row in (0..extent.rows).step_by(3) {
            // SAFETY: panels stay below extent.panels, rows below TILE_ROWS, a multiple of 3.
            unsafe { micro_kernel::<S, B, 3>(tile, row, extent.panel(panel), extent.cols, partial.add(panel)) };
        }
    }
}

/// `R` rows from `row` on times a panel, over the columns of a tile.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn micro_kernel<S: Scaling, B: Bytes, const R: usize>(
    tile: &Tile,
    row: usize,
    panel: PanelView,
    cols: usize,
    partial: *mut Partial,
) {
    // SAFETY: rows and columns stay within the tile, and the panel covers the columns.
    unsafe {
        let values = tile.values.as_ptr().add(row).cast::<i8>();
        let scales = tile.scales.as_ptr().add(row).cast::<f32>();
        let offsets = tile.offsets.as_ptr().add(row).cast::<f32>();
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        for group in 0..cols / S::GROUP {
            let mut dots = [[_mm256_setzero_si256(); 2]; R];
            for step in 0..S::GROUP / 4 / B::PAIRS {
                let mut pairs = [[_mm256_setzero_si256(); 2]; R];
                for k in step * B::PAIRS..(step + 1) * B::PAIRS {
                    let x = panel.values.add((group * S::GROUP / 4 + k) * 64);
                    let x = [_mm256_loadu_si256(x.cast()), _mm256_loadu_si256(x.add(32).cast())];
                    for r in 0..R {
                        let w = values.add(r * SPAN + group * S::GROUP + 4 * k).cast::<i32>().read_unaligned();
                        let w = _mm256_set1_epi32(w);
                        for h in 0..2 {
                            pairs[r][h] = B::multiply_add(pairs[r][h], w, x[h]);
                        }
                    }
                }
                for r in 0..R {
                    for h in 0..2 {
                        dots[r][h] = _mm256_add_epi32(dots[r][h], _mm256_madd_epi16(pairs[r][h], ones));
                    }
                }
            }
            for h in 0..2 {
                for r in 0..R {
                    let mut product = _mm256_cvtepi32_ps(dots[r][h]);
                    if S::ACTIVATIONS == ActivationScales::PerGroup {
                        let scale = panel.scales.add(group * S::GROUP / 32 * TOKENS_PER_PANEL + 8 * h);
                        product = _mm256_mul_ps(product, _mm256_loadu_ps(scale));
                    }
                    let scale = _mm256_set1_ps(*scales.add(r * GROUPS + group));
                    sums[r][h] = _mm256_fmadd_ps(product, scale, sums[r][h]);
                    if S::OFFSETS == Offsets::PerGroup {
                        let of_x = if S::GROUP == 32 { panel.sums32 } else { panel.sums16 };
                        let of_x = _mm256_loadu_ps(of_x.add(group * TOKENS_PER_PANEL + 8 * h));
                        let offset = _mm256_set1_ps(*offsets.add(r * GROUPS + group));
                        sums[r][h] = _mm256_fmadd_ps(of_x, offset, sums[r][h]);
                    }
                }
            }
        }
        for h in 0..2 {
            for r in 0..R {
                let to = (*partial)[row + r].as_mut_ptr().add(8 * h);
                let sum = match S::ACTIVATIONS {
                    ActivationScales::PerGroup => _mm256_add_ps(_mm256_loadu_ps(to), sums[r][h]),
                    ActivationScales::PerSpan => {
                        _mm256_fmadd_ps(sums[r][h], _mm256_loadu_ps(panel.scales.add(8 * h)), _mm256_loadu_ps(to))
                    }
                };
                _mm256_storeu_ps(to, sum);
            }
        }
    }
}

/// # Safety
/// As [`super::StoreTile`].
pub(super) unsafe fn store(partial: &Partial, task: &Task<'_>, tokens: Range<usize>, rows: Range<usize>) {
    for (lane, token) in tokens.enumerate() {
        // SAFETY: the caller lets this call write `rows` of the token.
        let out = unsafe { std::slice::from_raw_parts_mut(task.out.row(token).add(rows.start), rows.len()) };
        for (out, lanes) in out.iter_mut().zip(partial) {
            *out = lanes[lane];
        }
    }
}
