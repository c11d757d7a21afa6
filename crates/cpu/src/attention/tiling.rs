//! How the attention of a step is cut into pieces.
//!
//! A base piece is one key head and one tile of a run's tokens. Where there are few of them (generation) the visible
//! history of each is cut into parts. Everything depends on the runs alone, so results do not depend on threads.

use std::ops::Range;

use ascua_graph::Run;

use super::{Arithmetic, AttentionKernel};

/// Up to this many rows (tokens × heads that share a key head) a tile keeps the elements of a head in vectors; above, it
/// keeps rows in vectors.
pub(super) const FEW_ROWS: usize = 16;
/// Rows of a large tile in F32: four vectors of AVX-512.
const TILE_ROWS: usize = 64;
/// Rows of a large tile in integers, which take longer to make of keys and values.
const INTEGER_TILE_ROWS: usize = 128;
/// Keys handled at a time.
pub(super) const TILE_KEYS: usize = 64;
/// Pieces to aim at by cutting the history: enough for many threads, few enough to bound the parts' memory.
pub(super) const MOST_PARTS: usize = 64;
/// Fewest keys worth a part of their own.
const PART_KEYS: usize = 256;

/// Tokens of a large tile.
pub(super) fn tile_tokens(kernel: &AttentionKernel) -> usize {
    let rows = match kernel.arithmetic {
        Arithmetic::F32 => TILE_ROWS,
        #[cfg(target_arch = "x86_64")]
        Arithmetic::Int16 => INTEGER_TILE_ROWS,
    };
    (rows / kernel.group()).max(1)
}

/// The cut of one step.
pub(super) struct Tiling<'a> {
    kernel: &'a AttentionKernel,
    runs: &'a [Run<'a>],
    base: usize,
    parts: usize,
}

/// One piece of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile<'a> {
    /// Row of the batch at which the run starts.
    pub run_row: usize,
    /// Position of the run's first token.
    pub first_position: usize,
    /// Blocks of the run's sequence.
    pub blocks: &'a [u32],
    /// Tokens, counted from the start of the run.
    pub tokens: Tokens,
    /// The key head.
    pub kv_head: usize,
    /// Keys of this part.
    pub keys: Keys,
    /// Number of this part, and of all parts of the base piece.
    pub part: usize,
    pub parts: usize,
    /// Number of the base piece.
    pub base: usize,
}

/// A range of tokens of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    pub start: usize,
    pub end: usize,
}

impl Tokens {
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }
}

/// A range of positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub start: usize,
    pub end: usize,
}

impl Keys {
    /// Consecutive tiles of keys.
    pub(super) fn tiles(self) -> impl Iterator<Item = Range<usize>> {
        (self.start..self.end).step_by(TILE_KEYS).map(move |start| start..(start + TILE_KEYS).min(self.end))
    }
}

impl<'a> Tiling<'a> {
    pub(super) fn new(kernel: &'a AttentionKernel, runs: &'a [Run<'a>]) -> Tiling<'a> {
        let base = runs.iter().map(|run| tiles(kernel, run)).sum::<usize>() * kernel.spec.kv_heads;
        let longest = runs.iter().map(|run| run.first_position + run.len()).max().unwrap_or(0);
        let longest = kernel.spec.window.map_or(longest, |window| longest.min(window));
        let parts = match base {
            0 => 1,
            _ => (MOST_PARTS / base).min(longest / PART_KEYS).max(1),
        };
        Tiling { kernel, runs, base, parts }
    }

    pub(super) fn pieces(&self) -> usize {
        self.base * self.parts
    }

    /// The work of a piece; none if there is no such piece.
    pub(super) fn tile(&self, piece: usize) -> Option<Tile<'a>> {
        let (base, part) = (piece / self.parts, piece % self.parts);
        let kv_heads = self.kernel.spec.kv_heads;
        let (mut tile, kv_head) = (base / kv_heads, base % kv_heads);
        let run = self.runs.iter().find(|run| {
            let tiles = tiles(self.kernel, run);
            let here = tile < tiles;
            if !here {
                tile -= tiles;
            }
            here
        })?;
        let size = tokens_per_tile(self.kernel, run);
        // Later tiles see more keys. Long and short alternate, so that any stretch of pieces is about the same work.
        let tile = if tile.is_multiple_of(2) { tiles(self.kernel, run) - 1 - tile / 2 } else { tile / 2 };
        let start = tile * size;
        let tokens = Tokens { start, end: (start + size).min(run.len()) };
        let window = self.kernel.spec.window.unwrap_or(usize::MAX);
        let first = (run.first_position + tokens.start + 1).saturating_sub(window);
        let end = run.first_position + tokens.end;
        let each = (end - first).div_ceil(self.parts).next_multiple_of(TILE_KEYS);
        let part_start = (first + part * each).min(end);
        let keys = Keys { start: part_start, end: (part_start + each).min(end) };
        Some(Tile {
            run_row: run.tokens.start,
            first_position: run.first_position,
            blocks: run.blocks,
            tokens,
            kv_head,
            keys,
            part,
            parts: self.parts,
            base,
        })
    }
}

fn tokens_per_tile(kernel: &AttentionKernel, run: &Run<'_>) -> usize {
    if run.len() * kernel.group() <= FEW_ROWS { run.len().max(1) } else { tile_tokens(kernel) }
}

fn tiles(kernel: &AttentionKernel, run: &Run<'_>) -> usize {
    run.len().div_ceil(tokens_per_tile(kernel, run))
}
