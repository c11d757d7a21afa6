//! Work that takes each row of a step by itself.

use std::ops::Range;

use ascua_graph::Rows;

use crate::matmul::rows_together;
use crate::program::{Context, Size, Step, Work};

/// Work whose result in a row depends on the same row only.
pub(crate) trait RowWork: Send + Sync {
    /// Does some rows.
    ///
    /// # Safety
    /// Each row is done once a step, after everything it reads and before anything that overwrites it. The rows begin
    /// at a multiple of [`RowWork::together`], and end at one or with the step's.
    unsafe fn rows(&self, context: &Context<'_>, rows: Range<usize>);

    /// How many of `rows` must be done together; divides [`rows_together`].
    fn together(&self, _rows: usize) -> usize {
        1
    }

    /// How to divide the work, if not by rows.
    fn by_columns(&self) -> Option<&dyn Work> {
        None
    }
}

/// The work on all of some rows.
pub(crate) struct ByRows {
    pub rows: Rows,
    pub work: Box<dyn RowWork>,
}

impl Work for ByRows {
    fn size(&self, context: &Context<'_>) -> Size {
        if let Some(work) = self.work.by_columns() {
            return work.size(context);
        }
        let rows = context.count(self.rows);
        Size::few_chunks(rows.div_ceil(self.work.together(rows)), context.threads)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]) {
        if let Some(work) = self.work.by_columns() {
            // SAFETY: as the caller promises.
            return unsafe { work.run(context, pieces, scratch) };
        }
        let rows = context.count(self.rows);
        let together = self.work.together(rows);
        // SAFETY: as the caller promises.
        unsafe { self.work.rows(context, pieces.start * together..rows.min(pieces.end * together)) };
    }

    fn by_rows(&self) -> Option<&ByRows> {
        Some(self)
    }
}

/// How many rows go through several steps, and how many of them together; none where that would leave threads idle, or
/// where there is one step only.
pub(crate) fn chained(steps: &[Step], context: &Context<'_>) -> Option<(usize, usize)> {
    let [first, _, ..] = steps else { return None };
    let rows = context.count(first.work.by_rows()?.rows);
    let together = rows_together(rows);
    // Of a few rows each is a piece, as it is of most work by itself; of more, panels are, which are fewer.
    (together == 1 || rows.div_ceil(together) >= 2 * context.threads).then_some((rows, together))
}
