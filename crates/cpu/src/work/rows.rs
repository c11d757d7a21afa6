//! Work that takes each row of a step by itself, and chains of it.

use std::ops::Range;

use ascua_graph::Rows;

use crate::matmul::rows_together;
use crate::program::{Context, Size, Work};

/// Work whose result in a row depends on the same row only.
pub(crate) trait RowWork: Send + Sync {
    /// Does some rows.
    ///
    /// # Safety
    /// Each row is done once a step, after everything it reads and before anything that overwrites it. The rows begin
    /// at a multiple of [`rows_together`], and end at one or with the step's.
    unsafe fn rows(&self, context: &Context<'_>, rows: Range<usize>);

    /// How to divide the work where no other follows, if not by rows.
    fn alone(&self) -> Option<&dyn Work> {
        None
    }
}

/// Works that follow upon one another, a few rows at a time.
pub(crate) struct RowChain {
    /// What they go through.
    pub rows: Rows,
    pub works: Vec<Box<dyn RowWork>>,
}

impl RowChain {
    fn alone(&self) -> Option<&dyn Work> {
        match &self.works[..] {
            [work] => work.alone(),
            _ => None,
        }
    }

    fn count(&self, context: &Context<'_>) -> usize {
        self.rows.count(context.step.tokens.len(), context.step.outputs.len())
    }
}

impl Work for RowChain {
    fn size(&self, context: &Context<'_>) -> Size {
        if let Some(work) = self.alone() {
            return work.size(context);
        }
        let rows = self.count(context);
        Size::chunks(rows.div_ceil(rows_together(rows)), 1)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]) {
        if let Some(work) = self.alone() {
            // SAFETY: as the caller promises.
            return unsafe { work.run(context, pieces, scratch) };
        }
        let count = self.count(context);
        let together = rows_together(count);
        for piece in pieces {
            for work in &self.works {
                // SAFETY: the caller promises it of the whole; the schedule made sure that rows do not meet.
                unsafe { work.rows(context, piece * together..count.min((piece + 1) * together)) };
            }
        }
    }
}
