//! Tiles of F32 weights, for activations in F32: every type, at every level.
//!
//! A sum of some columns is formed in order, one lane a token, and added to the sums of those before.

use std::ops::Range;

use ascua_gguf::TensorType;

use super::store::store;
use super::tiles::{self, Extent, Partial, Results, TILE_ROWS, Tiled, Weights};
use super::{SPAN, Task};
use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::matmul::activation::{FloatLayout, TOKENS_PER_PANEL};
use crate::matmul::exact::RowDecoder;

/// The product of decoded tiles with panels.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct FloatGemm {
    decoder: RowDecoder,
    weight: TensorType,
    isa: Isa,
}

/// Floats between a row of a tile and the next: a line more than a row has, so that the rows of a product do not meet in
/// the same few sets of the cache.
const STRIDE: usize = SPAN + 16;

/// Columns that are summed in order: no more, or rounding adds up.
const CHAIN: usize = 128;

/// A decoded tile: `TILE_ROWS` rows of up to 256 columns.
#[repr(C, align(64))]
pub(super) struct Tile {
    values: [[f32; STRIDE]; TILE_ROWS],
}

impl FloatGemm {
    pub const SCRATCH_BYTES: usize = tiles::scratch_bytes::<Tile>();

    /// The kernels for rows that `decoder` decodes.
    pub fn new(weight: TensorType, decoder: RowDecoder, isa: Isa) -> FloatGemm {
        FloatGemm { decoder, weight, isa }
    }

    /// # Safety
    /// As [`super::super::MatmulKernel::run`]; the activations are panels, `scratch` is 64-byte aligned and has
    /// `SCRATCH_BYTES`.
    pub unsafe fn run(&self, task: Task<'_, FloatLayout>, rows: Range<usize>, scratch: *mut u8) {
        // SAFETY: the caller vouches for the operands; the decoder was made for this machine's level.
        unsafe { tiles::run(self, task, rows, scratch) }
    }
}

impl Tiled for FloatGemm {
    type Tile = Tile;
    type Layout = FloatLayout;

    unsafe fn decode(&self, task: &Task<'_, FloatLayout>, rows: Range<usize>, cols: Range<usize>, tile: &mut Tile) {
        let count = cols.len();
        let block = (self.weight.block_len(), self.weight.block_bytes());
        let weights = Weights::new(task, rows, cols, |cols| cols / block.0 * block.1);
        for (row, values) in tile.values.iter_mut().enumerate().take(weights.rows) {
            // SAFETY: the decoder was made for this machine's level; spans are whole blocks.
            unsafe { self.decoder.decode(weights.row(row), &mut values[..count]) };
        }
    }

    unsafe fn multiply(&self, tile: &mut Tile, extent: Extent<'_, FloatLayout>, partial: *mut Partial) {
        // SAFETY: the caller vouches for the operands and the machine.
        unsafe { dispatch(self.isa, Product { tile, extent, partial }) }
    }

    unsafe fn store(&self, _: &Tile, _: usize, results: Results<'_>) {
        // SAFETY: as above.
        unsafe { store(self.isa, results) }
    }
}

/// A tile times the panels of an extent in turn.
struct Product<'a> {
    tile: &'a Tile,
    extent: Extent<'a, FloatLayout>,
    partial: *mut Partial,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let panels = self.extent.in_turn();
        let mut panel = panels.start;
        while panel < panels.end {
            // Sums, activations and a weight fill the registers.
            // SAFETY: the maker vouches for the operands, panels stay within the turn.
            panel += unsafe {
                match (V::LANES, V::REGISTERS, panels.end - panel) {
                    (16, _, 2..) => self.panels::<V, 12, 2, 1>(panel),
                    (16, _, _) => self.panels::<V, 24, 1, 1>(panel),
                    (8, 16.., _) => self.panels::<V, 6, 1, 2>(panel),
                    (8, _, _) => self.panels::<V, 2, 1, 2>(panel),
                    (_, 32.., _) => self.panels::<V, 6, 1, 4>(panel),
                    _ => self.panels::<V, 3, 1, 4>(panel),
                }
            };
        }
    }
}

impl Product<'_> {
    /// All rows times `C` panels of `H` vectors from `panel` on, `R` rows at a time; gives `C`.
    #[inline(always)]
    unsafe fn panels<V: Lanes, const R: usize, const C: usize, const H: usize>(&self, panel: usize) -> usize {
        debug_assert!(TILE_ROWS.is_multiple_of(R) && H * V::LANES == TOKENS_PER_PANEL);
        let Product { tile, extent, partial } = self;
        let (mut x, mut next) = ([std::ptr::null(); C], [std::ptr::null(); C]);
        for c in 0..C {
            x[c] = self.panel(panel + c);
            next[c] = match panel + C + c {
                next if next < extent.panels => self.panel(next),
                // The first panels meet the tile of the next columns.
                _ => self.panel(c).wrapping_add(extent.cols * TOKENS_PER_PANEL),
            };
        }
        for first in (0..extent.cols).step_by(CHAIN) {
            let cols = first..extent.cols.min(first + CHAIN);
            let begins = extent.begins() && first == 0;
            let skip = first * TOKENS_PER_PANEL;
            let share = (cols.len() * TOKENS_PER_PANEL * size_of::<f32>()).div_ceil(extent.rows.div_ceil(R));
            for (step, row) in (0..extent.rows).step_by(R).enumerate() {
                for next in next {
                    tiles::prefetch(next.wrapping_add(skip).cast::<u8>().wrapping_add(step * share), share);
                }
                let x = x.map(|x: *const f32| x.wrapping_add(skip));
                // Rows beyond those in use hold values of an earlier tile; their results are never stored.
                // SAFETY: rows stay below TILE_ROWS, and the panels have the columns.
                unsafe { micro_kernel::<V, R, C, H>(tile, row, cols.clone(), x, begins, partial.add(panel)) };
            }
        }
        C
    }

    /// A panel, from the extent's first column on.
    fn panel(&self, panel: usize) -> *const f32 {
        let task = &self.extent.task;
        let panel = task.layout.panel(task.prepared, self.extent.first_panel + panel);
        panel.wrapping_add(self.extent.first_col * TOKENS_PER_PANEL)
    }
}

/// `R` rows from `row` on times `C` panels of `H` vectors, over some columns of a tile.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn micro_kernel<V: Lanes, const R: usize, const C: usize, const H: usize>(
    tile: &Tile,
    row: usize,
    cols: Range<usize>,
    x: [*const f32; C],
    begins: bool,
    partial: *mut Partial,
) {
    // SAFETY: the caller's rows and columns lie within the tile and the panels.
    unsafe {
        let weights = tile.values.as_ptr().add(row).cast::<f32>().add(cols.start);
        let mut sums = [[[V::splat(0.0); H]; C]; R];
        for col in 0..cols.len() {
            let mut xs = [[V::splat(0.0); H]; C];
            for c in 0..C {
                for h in 0..H {
                    xs[c][h] = V::load(x[c].add(col * TOKENS_PER_PANEL + h * V::LANES));
                }
            }
            for r in 0..R {
                let weight = V::splat(*weights.add(r * STRIDE + col));
                for c in 0..C {
                    for h in 0..H {
                        sums[r][c][h] = xs[c][h].mul_add(weight, sums[r][c][h]);
                    }
                }
            }
        }
        for c in 0..C {
            for r in 0..R {
                for h in 0..H {
                    let to = (*partial.add(c))[row + r].as_mut_ptr().add(h * V::LANES);
                    let sum = if begins { sums[r][c][h] } else { sums[r][c][h].add(V::load(to)) };
                    sum.store(to);
                }
            }
        }
    }
}
