//! Many tokens: weights are decoded to 8-bit tiles and broadcast against panels of tokens.
//!
//! A tile of rows and 256 columns is decoded once and multiplied with every token, 32 at a time; vector lanes are
//! tokens, so no operand is ever shuffled and any number of rows works. Integer sums are brought to F32 at every
//! group of the weights' scales, exactly as few tokens are, and partial results wait in the thread's scratch.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod frame;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod pairs;

use std::ops::Range;

use super::activation::{PanelView, Panels, TOKENS_PER_PANEL};
use super::integers::{IntegerFormat, Offsets, SPAN};
use super::quantised::Task;
use crate::isa::Isa;

/// Rows of a tile: with 32 tokens' panels, its 24 KB of integers stay in the first cache level.
const TILE_ROWS: usize = 96;
/// Tokens for which partial results are kept; more are computed in turns.
const MAX_TOKENS: usize = 512;
/// Panels whose results leave together: those a kernel multiplies together.
const PANELS_AT_ONCE: usize = 2;
const GROUPS: usize = SPAN / 16;

/// The product of a format's tiles with panels, for one level.
#[derive(Clone, Copy)]
pub(super) struct Gemm {
    multiply: MultiplyTile,
    store: StoreTile,
    finish: FinishRow,
    panels: Panels,
}

/// A decoded tile: `TILE_ROWS` rows of up to 256 columns.
#[repr(C, align(64))]
struct Tile {
    values: [[i8; SPAN]; TILE_ROWS],
    scales: [[f32; GROUPS]; TILE_ROWS],
    offsets: [[f32; GROUPS]; TILE_ROWS],
    /// What integer sums start from, to make up for unsigned activations: `-128 *` the sum of each group's values.
    starts: [[i32; GROUPS]; TILE_ROWS],
}

/// Partial results of a tile: `[panel][row][16 tokens]`.
type Partial = [[f32; TOKENS_PER_PANEL]; TILE_ROWS];

/// Which columns and panels a tile meets.
#[derive(Clone, Copy)]
struct Extent<'a> {
    task: Task<'a>,
    first_panel: usize,
    panels: usize,
    /// The panels whose turn it is, from and to.
    turn: (usize, usize),
    first_col: usize,
    cols: usize,
    /// First row.
    first_row: usize,
    /// Rows in use.
    rows: usize,
}

impl Extent<'_> {
    /// The panels whose turn it is.
    #[inline(always)]
    fn in_turn(&self) -> Range<usize> {
        self.turn.0..self.turn.1
    }

    /// Whether these are the first columns: partial results begin with them.
    #[inline(always)]
    fn begins(&self) -> bool {
        self.first_col == 0
    }

    /// Whether these are the last columns: partial results are whole after them.
    #[inline(always)]
    fn ends(&self) -> bool {
        self.first_col + self.cols == self.task.layout.cols
    }
}

/// Adds a tile's products to the partial results of the extent's panels in turn; `partial` is its very first.
type MultiplyTile = unsafe fn(tile: &Tile, extent: Extent<'_>, partial: *mut Partial);
/// Writes a panel's partial results of `rows` to the first `tokens` output rows from `token` on.
type StoreTile = unsafe fn(partial: &Partial, task: &Task<'_>, tokens: Range<usize>, rows: Range<usize>);
/// Brings a freshly decoded row to the form the level's kernel multiplies.
type FinishRow = unsafe fn(format: &IntegerFormat, row: &mut TileRow<'_>);

/// One row of a tile.
struct TileRow<'a> {
    values: &'a mut [i8; SPAN],
    scales: &'a mut [f32; GROUPS],
    offsets: &'a mut [f32; GROUPS],
    starts: &'a mut [i32; GROUPS],
}

impl Gemm {
    pub const SCRATCH_BYTES: usize = size_of::<Tile>() + MAX_TOKENS / TOKENS_PER_PANEL * size_of::<Partial>();

    /// The kernels for a format, where the level has them.
    pub fn new(format: IntegerFormat, isa: Isa) -> Option<Gemm> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => Some(Gemm {
                multiply: avx512::multiply(format)?,
                store: avx512::store,
                finish: avx512::finish,
                panels: Panels::Unsigned,
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(Gemm {
                multiply: frame::unsigned::<pairs::avx512::Kinds, 6, 1>(format)?,
                store: frame::store,
                finish: frame::finish_unsigned::<pairs::avx512::Signed>,
                panels: Panels::Signed,
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => Some(Gemm {
                multiply: frame::signed::<frame::Framed<avx_vnni::AvxVnni, 4, 2>>(format)?,
                store: frame::store,
                finish: frame::finish_starts::<avx_vnni::AvxVnni>,
                panels: Panels::Unsigned,
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(Gemm {
                multiply: frame::unsigned::<pairs::avx2::Kinds, 3, 2>(format)?,
                store: frame::store,
                finish: frame::finish_unsigned::<pairs::avx2::Signed>,
                panels: Panels::Signed,
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::Sse41 => Some(Gemm {
                multiply: frame::unsigned::<pairs::sse41::Kinds, 3, 2>(format)?,
                store: frame::store,
                finish: frame::finish_unsigned::<pairs::sse41::Signed>,
                panels: Panels::Signed,
            }),
            #[cfg(target_arch = "aarch64")]
            Isa::I8mm => Some(Gemm {
                multiply: frame::signed::<i8mm::I8mm>(format)?,
                store: frame::store,
                finish: frame::finish_nothing,
                panels: Panels::Signed,
            }),
            #[cfg(target_arch = "aarch64")]
            Isa::DotProd => Some(Gemm {
                multiply: neon::multiply_dot(format)?,
                store: frame::store,
                finish: frame::finish_nothing,
                panels: Panels::Signed,
            }),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(Gemm {
                multiply: neon::multiply(format)?,
                store: frame::store,
                finish: frame::finish_nothing,
                panels: Panels::Signed,
            }),
            _ => None,
        }
    }

    pub fn panels(&self) -> Panels {
        self.panels
    }

    /// # Safety
    /// As [`super::quantised::QuantisedProduct::run`]; the activations are panels.
    pub unsafe fn run(&self, format: &IntegerFormat, task: Task<'_>, rows: Range<usize>, scratch: *mut u8) {
        // SAFETY: the scratch is aligned, as large as both, and every bit pattern is a value of their numbers.
        let (tile, partials) = unsafe {
            let partials = scratch.add(size_of::<Tile>()).cast::<Partial>();
            (&mut *scratch.cast::<Tile>(), std::slice::from_raw_parts_mut(partials, MAX_TOKENS / TOKENS_PER_PANEL))
        };
        for first_token in (0..task.tokens).step_by(MAX_TOKENS) {
            let tokens = first_token..task.tokens.min(first_token + MAX_TOKENS);
            let panels = tokens.len().div_ceil(TOKENS_PER_PANEL);
            let partials = &mut partials[..panels];
            for first_row in rows.clone().step_by(TILE_ROWS) {
                let rows = first_row..rows.end.min(first_row + TILE_ROWS);
                for first_col in (0..task.layout.cols).step_by(SPAN) {
                    let cols = SPAN.min(task.layout.cols - first_col);
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
                    // SAFETY: the kernels were made for this machine's level, the extent lies within the task.
                    unsafe { self.decode(format, &task, rows.clone(), first_col..first_col + cols, tile) };
                    // After the last columns results leave while they are near, and the processor waits for none.
                    let at_once = if extent.ends() { PANELS_AT_ONCE } else { panels };
                    for from in (0..panels).step_by(at_once) {
                        let turn = (from, panels.min(from + at_once));
                        // SAFETY: as above.
                        unsafe { (self.multiply)(tile, Extent { turn, ..extent }, partials.as_mut_ptr()) };
                        if !extent.ends() {
                            continue;
                        }
                        for (panel, partial) in (from..).zip(&partials[from..turn.1]) {
                            let first = first_token + panel * TOKENS_PER_PANEL;
                            let tokens = first..tokens.end.min(first + TOKENS_PER_PANEL);
                            // SAFETY: the caller lets this call write these rows of all tokens.
                            unsafe { (self.store)(partial, &task, tokens, rows.clone()) };
                        }
                    }
                }
            }
        }
    }

    /// Fills the tile with `rows` and `cols` of the weights.
    unsafe fn decode(
        &self,
        format: &IntegerFormat,
        task: &Task<'_>,
        rows: Range<usize>,
        cols: Range<usize>,
        tile: &mut Tile,
    ) {
        let bytes =
            cols.start / format.block_len * format.block_bytes..cols.end / format.block_len * format.block_bytes;
        for (row, number) in rows.enumerate() {
            // SAFETY: the functions were made for this machine's level.
            unsafe {
                let mut row = TileRow {
                    values: &mut tile.values[row],
                    scales: &mut tile.scales[row],
                    offsets: &mut tile.offsets[row],
                    starts: &mut tile.starts[row],
                };
                let source = task.row(number);
                prefetch(source.as_ptr().wrapping_add(bytes.end), bytes.len());
                (format.decode)(&source[bytes.clone()], row.values, row.scales, row.offsets);
                (self.finish)(format, &mut row);
            }
        }
    }
}

/// Asks for the cache lines of the next columns, which lie too far from the next row's for the processor to guess.
#[inline(always)]
fn prefetch(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..bytes + 64).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: prefetching never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

impl Extent<'_> {
    /// A panel, from the extent's first column on.
    #[inline(always)]
    fn panel(&self, panel: usize) -> PanelView {
        let view = self.task.layout.panel(self.task.prepared, self.first_panel + panel);
        PanelView {
            values: view.values.wrapping_add(self.first_col * TOKENS_PER_PANEL),
            scales: view.scales.wrapping_add(self.first_col / self.task.layout.group.len() * TOKENS_PER_PANEL),
            sums32: view.sums32.wrapping_add(self.first_col / 32 * TOKENS_PER_PANEL),
            sums16: view.sums16.wrapping_add(self.first_col / 16 * TOKENS_PER_PANEL),
        }
    }
}

/// How a format's groups are scaled: fixes the loops of a kernel at compile time.
trait Scaling {
    /// Elements that share a weight scale: 16 or 32.
    const GROUP: usize;
    const OFFSETS: Offsets;
    /// Whether activations have a scale per 32; otherwise one per span.
    const ACTIVATIONS: ActivationScales;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ActivationScales {
    PerGroup,
    PerSpan,
}

macro_rules! scalings {
    ($($name:ident: $group:literal, $offsets:ident, $activations:ident;)*) => {
        $(struct $name;
        impl Scaling for $name {
            const GROUP: usize = $group;
            const OFFSETS: Offsets = Offsets::$offsets;
            const ACTIVATIONS: ActivationScales = ActivationScales::$activations;
        })*
    };
}

scalings! {
    Legacy: 32, None, PerGroup;
    LegacyOffset: 32, PerGroup, PerGroup;
    Legacy16: 16, None, PerGroup;
    Legacy16Offset: 16, PerGroup, PerGroup;
    Super32: 32, None, PerSpan;
    Super32Offset: 32, PerGroup, PerSpan;
    Super16: 16, None, PerSpan;
    Super16Offset: 16, PerGroup, PerSpan;
}
