//! Results of the parts of a history, and how the last worker to finish puts them together.
//!
//! Shared memory: a counter for each base piece, then for each base piece and part the rows `[largest logit, sum of
//! exponentials, value_size sums]`. Invariant: between runs all counters are zero.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{AttentionKernel, Call, tiling};

/// Places in the shared memory.
pub(super) struct Layout {
    /// Numbers of one row of a part.
    row: usize,
    /// Most rows of a tile.
    rows: usize,
    pub(super) bytes: usize,
}

/// Bytes of the counters: one for each base piece that can have parts.
const COUNTERS: usize = tiling::MOST_PARTS * size_of::<AtomicU32>();

impl Layout {
    pub(super) fn new(kernel: &AttentionKernel) -> Layout {
        let (row, rows) = (kernel.spec.value_size + 2, kernel.tile_rows().max(tiling::FEW_ROWS));
        Layout { row, rows, bytes: COUNTERS + tiling::MOST_PARTS * rows * row * size_of::<f32>() }
    }

    /// # Safety
    /// `shared` has `bytes` bytes; base pieces times parts is at most `MOST_PARTS`.
    unsafe fn row(&self, call: &Call<'_>, part: usize, row: usize) -> *mut f32 {
        let tile = call.tile.base * call.tile.parts + part;
        // SAFETY: inside the shared memory, as the caller promises.
        unsafe { call.step.shared.add(COUNTERS).cast::<f32>().add((tile * self.rows + row) * self.row) }
    }
}

impl Call<'_> {
    /// Where the `value_size` sums of a finished row go, and their factor; `sum` is of the row's weights.
    /// # Safety
    /// As [`AttentionKernel::run`].
    #[inline(always)]
    pub(super) unsafe fn finish_row(&self, row: usize, largest: f32, sum: f32) -> (*mut f32, f32) {
        // SAFETY: the tile's own row, in the output or in the shared memory.
        unsafe {
            if self.tile.parts == 1 {
                (self.out_row(row), if sum > 0.0 { 1.0 / sum } else { 0.0 })
            } else {
                let kept = Layout::new(self.kernel).row(self, self.tile.part, row);
                *kept = largest;
                *kept.add(1) = sum;
                (kept.add(2), 1.0)
            }
        }
    }

    /// Called once all rows of the piece are finished; the last part to call it puts all parts together.
    /// # Safety
    /// As [`AttentionKernel::run`].
    pub(super) unsafe fn finish(&self) {
        let parts = self.tile.parts;
        if parts == 1 {
            return;
        }
        // SAFETY: base pieces that have parts are fewer than the counters; `shared` is aligned to 64.
        let counter = unsafe { &*self.step.shared.cast::<AtomicU32>().add(self.tile.base) };
        // Releases this part's rows; acquires those of the others for the last.
        if counter.fetch_add(1, Ordering::AcqRel) as usize + 1 < parts {
            return;
        }
        counter.store(0, Ordering::Relaxed);
        let layout = Layout::new(self.kernel);
        for row in 0..self.rows() {
            // SAFETY: all parts of the tile are finished, and this worker alone is here.
            unsafe {
                let largest = (0..parts).map(|part| *layout.row(self, part, row)).fold(f32::MIN, f32::max);
                let weight = |part: usize| (*layout.row(self, part, row) - largest).exp();
                let sum: f32 = (0..parts).map(|part| *layout.row(self, part, row).add(1) * weight(part)).sum();
                let factor = if sum > 0.0 { 1.0 / sum } else { 0.0 };
                let out = self.out_row(row);
                for part in 0..parts {
                    let (sums, weight) = (layout.row(self, part, row).add(2), weight(part) * factor);
                    for i in 0..self.kernel.spec.value_size {
                        let before = if part == 0 { 0.0 } else { *out.add(i) };
                        *out.add(i) = before + *sums.add(i) * weight;
                    }
                }
            }
        }
    }
}
