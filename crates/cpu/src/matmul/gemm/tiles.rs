//! The loops of a GEMM, for any kind of tile.
//!
//! A tile of rows and 256 columns is decoded once and multiplied with every token, 32 at a time; vector lanes are
//! tokens, so no operand is ever shuffled and any number of rows works. Partial results wait in the thread's scratch.

use std::ops::Range;

use crate::matmul::OutputRows;
use crate::matmul::activation::{Int8Layout, PanelLayout, TOKENS_PER_PANEL};
use crate::matmul::integers::SPAN;
use crate::matmul::quantised::Task;

/// Rows of a tile: with 32 tokens' panels, 24 KB of bytes stay in the first cache level; floats stay in the second.
pub(super) const TILE_ROWS: usize = 96;
/// Tokens for which partial results are kept; more are computed in turns.
pub(super) const MAX_TOKENS: usize = 512;
/// Panels whose results leave together: those a kernel multiplies together.
const PANELS_AT_ONCE: usize = 2;

/// Partial results of a tile: `[panel][row][16 tokens]`.
pub(super) type Partial = [[f32; TOKENS_PER_PANEL]; TILE_ROWS];

/// A panel's results, ready to be written.
pub(super) struct Results<'a> {
    pub partial: &'a Partial,
    /// A bit for each token that has a part of its results apart from the others'.
    pub apart: u16,
    /// Of those tokens that part.
    pub parts: &'a [[f32; TILE_ROWS]],
    pub out: OutputRows<'a>,
    /// The panel's tokens, ...
    pub tokens: Range<usize>,
    /// ... and the tile's rows, which nothing else touches meanwhile.
    pub rows: Range<usize>,
}

/// The weights of a tile, as they are stored.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    /// From the tile's first row and column on.
    from: &'a [u8],
    row_bytes: usize,
    /// Bytes of a row that the tile has.
    bytes: usize,
    /// How far on those of the next tile's row are, and how many.
    ahead: (usize, usize),
    /// Rows in use.
    pub rows: usize,
}

impl<'a> Weights<'a> {
    /// Of a task, given the bytes that columns take.
    pub fn new<L: PanelLayout>(
        task: &Task<'a, L>,
        rows: Range<usize>,
        cols: Range<usize>,
        bytes: impl Fn(usize) -> usize,
    ) -> Weights<'a> {
        let (start, end) = (bytes(cols.start), bytes(cols.end));
        let all_cols = task.layout.cols();
        let ahead = if cols.end < all_cols {
            (end - start, bytes(all_cols.min(cols.end + SPAN)) - end)
        } else {
            (TILE_ROWS * task.row_bytes - start, bytes(all_cols.min(SPAN)))
        };
        let from = &task.weights[rows.start * task.row_bytes + start..];
        Weights { from, row_bytes: task.row_bytes, bytes: end - start, ahead, rows: rows.len() }
    }

    /// Bytes of a row.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same with `bytes` of a row, of this tile and the next, a number that the compiler knows.
    #[inline(always)]
    pub fn of_bytes(self, bytes: usize) -> Weights<'a> {
        Weights { bytes, ahead: (self.ahead.0, bytes), ..self }
    }

    /// The bytes of a row; asks for those of the next tile's, which lie too far from this one's next row for the processor
    /// to guess.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &'a [u8] {
        let bytes = &self.from[row * self.row_bytes..][..self.bytes];
        prefetch(bytes.as_ptr().wrapping_add(self.ahead.0), self.ahead.1);
        bytes
    }
}

/// Which columns and panels a tile meets.
#[derive(Clone, Copy)]
pub(super) struct Extent<'a, L = Int8Layout> {
    pub task: Task<'a, L>,
    pub first_panel: usize,
    pub panels: usize,
    /// The panels whose turn it is, from and to.
    turn: (usize, usize),
    pub first_col: usize,
    pub cols: usize,
    /// First row.
    pub first_row: usize,
    /// Rows in use.
    pub rows: usize,
}

impl<L: PanelLayout> Extent<'_, L> {
    /// The panels whose turn it is.
    #[inline(always)]
    pub fn in_turn(&self) -> Range<usize> {
        self.turn.0..self.turn.1
    }

    /// Whether these are the first columns: partial results begin with them.
    #[inline(always)]
    pub fn begins(&self) -> bool {
        self.first_col == 0
    }

    /// Whether these are the last columns: partial results are whole after them.
    #[inline(always)]
    pub fn ends(&self) -> bool {
        self.first_col + self.cols == self.task.layout.cols()
    }
}

/// Tiles of one kind: `TILE_ROWS` rows of up to [`SPAN`] columns, for one level.
///
/// # Safety
/// Every function may be called where the machine has the level.
pub(super) trait Tiled {
    /// Every pattern of bits is one.
    type Tile;
    type Layout: PanelLayout;

    /// Fills the tile with `rows` and `cols` of the weights; what products keep apart in it stays until it is stored.
    unsafe fn decode(
        &self,
        task: &Task<'_, Self::Layout>,
        rows: Range<usize>,
        cols: Range<usize>,
        tile: &mut Self::Tile,
    );
    /// Adds a tile's products to the partial results of the extent's panels in turn, or to what the tile keeps apart;
    /// `partial` is the extent's very first.
    unsafe fn multiply(&self, tile: &mut Self::Tile, extent: Extent<'_, Self::Layout>, partial: *mut Partial);
    /// Writes a panel's results; what of them the tile keeps apart is not among them yet.
    unsafe fn store(&self, tile: &Self::Tile, panel: usize, results: Results<'_>);
}

/// Scratch of a thread.
pub(super) const fn scratch_bytes<T>() -> usize {
    size_of::<T>() + MAX_TOKENS / TOKENS_PER_PANEL * size_of::<Partial>()
}

/// Computes `rows` of the product.
///
/// # Safety
/// The activations are panels, the machine has the tiles' level, nothing else touches these rows of the results, and
/// the scratch is 64-byte aligned and has [`scratch_bytes`].
pub(super) unsafe fn run<T: Tiled>(tiles: &T, task: Task<'_, T::Layout>, rows: Range<usize>, scratch: *mut u8) {
    // SAFETY: the scratch is aligned, as large as both, and every bit pattern is a value of their numbers.
    let (tile, partials) = unsafe {
        let partials = scratch.add(size_of::<T::Tile>()).cast::<Partial>();
        (&mut *scratch.cast::<T::Tile>(), std::slice::from_raw_parts_mut(partials, MAX_TOKENS / TOKENS_PER_PANEL))
    };
    let all_cols = task.layout.cols();
    for first_token in (0..task.tokens).step_by(MAX_TOKENS) {
        let tokens = first_token..task.tokens.min(first_token + MAX_TOKENS);
        let panels = tokens.len().div_ceil(TOKENS_PER_PANEL);
        let partials = &mut partials[..panels];
        for first_row in rows.clone().step_by(TILE_ROWS) {
            let rows = first_row..rows.end.min(first_row + TILE_ROWS);
            for first_col in (0..all_cols).step_by(SPAN) {
                let cols = SPAN.min(all_cols - first_col);
                let extent = Extent {
                    task,
                    first_panel: first_token / TOKENS_PER_PANEL,
                    panels,
                    turn: (0, panels),
                    first_col,
                    cols,
                    first_row: rows.start,
                    rows: rows.len(),
                };
                // SAFETY: the caller vouches for the machine, the extent lies within the task.
                unsafe { tiles.decode(&task, rows.clone(), first_col..first_col + cols, tile) };
                // After the last columns results leave while they are near, and the processor waits for none.
                let at_once = if extent.ends() { PANELS_AT_ONCE } else { panels };
                for from in (0..panels).step_by(at_once) {
                    let turn = (from, panels.min(from + at_once));
                    // SAFETY: as above.
                    unsafe { tiles.multiply(tile, Extent { turn, ..extent }, partials.as_mut_ptr()) };
                    if !extent.ends() {
                        continue;
                    }
                    for (panel, partial) in (from..).zip(&partials[from..turn.1]) {
                        let first = first_token + panel * TOKENS_PER_PANEL;
                        let tokens = first..tokens.end.min(first + TOKENS_PER_PANEL);
                        let (out, rows) = (task.out, rows.clone());
                        let results = Results { partial, apart: 0, parts: &[], out, tokens, rows };
                        // SAFETY: the caller lets this call write these rows of all tokens.
                        unsafe { tiles.store(tile, panel, results) };
                    }
                }
            }
        }
    }
}

/// Asks for bytes, for the second cache level.
#[inline(always)]
pub(super) fn prefetch(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let before = from.addr() % 64;
        for line in (0..before + bytes).step_by(64) {
            // SAFETY: prefetching never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_sub(before).wrapping_add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}
