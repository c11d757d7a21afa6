//! The work that operations compile to: one file for each kind.

pub(crate) mod attention;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod experts;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod rope;
pub(crate) mod rows;
pub(crate) mod select;
pub(crate) mod square_sums;

use std::ops::Range;

use ascua_graph::Place;

use crate::program::{Context, Size};

/// Columns of a row that are worth a thread of their own.
const COLUMNS: usize = 1024;

/// Rows of a value, or parts of rows where there are fewer rows than would keep the threads busy.
pub(crate) struct Tiles {
    width: usize,
    parts: usize,
    rows: usize,
    threads: usize,
}

impl Tiles {
    /// Tiles of this step's rows of a value.
    pub fn new(context: &Context<'_>, place: &Place) -> Tiles {
        let rows = context.rows(place);
        let parts = if rows >= 4 * context.threads { 1 } else { place.shape.width.div_ceil(COLUMNS) };
        Tiles { width: place.shape.width, parts, rows, threads: context.threads }
    }

    /// How the tiles divide.
    pub fn size(&self) -> Size {
        Size::few_chunks(self.rows * self.parts, self.threads)
    }

    /// Row and columns of a tile.
    pub fn tile(&self, index: usize) -> (usize, Range<usize>) {
        let (row, part) = (index / self.parts, index % self.parts);
        let size = self.width.div_ceil(self.parts);
        (row, (part * size).min(self.width)..((part + 1) * size).min(self.width))
    }
}
