//! The part of a panel's outliers: what the integers of the panel leave out is multiplied in F32.

use super::{Extent, GROUPS, Partial, SPAN, TILE_ROWS, Tile};
use crate::lanes::{Kernel, Lanes};
use crate::matmul::activation::{Columns, Outliers, TOKENS_PER_PANEL};
use crate::matmul::quantised::Task;

/// The weights of a tile that outliers meet.
#[repr(C, align(64))]
pub(super) struct OutlierWeights {
    /// How many columns have an outlier of any token.
    count: usize,
    /// Of each of those columns, its place among them.
    places: [u8; SPAN],
    /// Of each place the weights of all rows.
    weights: [[f32; TILE_ROWS]; SPAN],
}

/// The rows of a decoded tile, before their weights of outliers are.
pub(super) struct DecodedRows<'a> {
    pub values: &'a [[i8; SPAN]],
    pub scales: &'a [[f32; GROUPS]],
    pub offsets: &'a [[f32; GROUPS]],
    /// Elements that share a scale.
    pub group: usize,
}

impl OutlierWeights {
    /// Keeps the weights of `span` that any of the task's outliers meets.
    ///
    /// # Safety
    /// The task's panels are prepared and have the span.
    pub unsafe fn keep(&mut self, rows: DecodedRows<'_>, task: &Task<'_>, span: usize) {
        let mut present = Columns::default();
        for panel in 0..task.layout.pieces(task.tokens) {
            // SAFETY: the caller vouches for the panels and the span.
            let outliers = unsafe { task.layout.outliers(task.prepared, panel).of_span(span) };
            outliers.cols.iter().for_each(|col| present.insert(usize::from(*col)));
        }
        self.count = 0;
        for ((place, weights), col) in self.weights.iter_mut().enumerate().zip(present.iter()) {
            self.places[col] = place as u8;
            self.count += 1;
            let group = col / rows.group % GROUPS;
            let of_rows = rows.values.iter().zip(rows.scales).zip(rows.offsets);
            for (weight, ((values, scales), offsets)) in weights.iter_mut().zip(of_rows) {
                *weight = f32::from(values[col]) * scales[group] + offsets[group];
            }
        }
    }

    /// The weights of all rows in a column that has an outlier.
    #[inline(always)]
    fn column(&self, col: u8) -> &[f32; TILE_ROWS] {
        &self.weights[usize::from(self.places[usize::from(col)])]
    }
}

/// Adds the part of the outliers to the partial results of the extent's panels in turn; `partial` is its very first.
pub(super) struct AddOutliers<'a> {
    pub tile: &'a Tile,
    pub extent: Extent<'a>,
    pub partial: *mut Partial,
}

impl Kernel for AddOutliers<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the maker vouches for the operands.
        unsafe {
            match V::REGISTERS {
                32.. => self.rows::<V, 24>(),
                _ => self.rows::<V, 12>(),
            }
        }
    }
}

impl AddOutliers<'_> {
    /// `R` rows at a time, which divide those of a tile.
    #[inline(always)]
    unsafe fn rows<V: Lanes, const R: usize>(self) {
        let AddOutliers { tile, extent, partial } = self;
        if tile.outliers.count == 0 {
            return;
        }
        for panel in extent.in_turn() {
            // SAFETY: panels and rows stay within the extent, whose results these are.
            unsafe {
                let outliers = extent.task.layout.outliers(extent.task.prepared, extent.first_panel + panel);
                let Outliers { cols, values } = outliers.of_span(extent.first_col / SPAN);
                if cols.is_empty() {
                    continue;
                }
                let partial = &mut *partial.add(panel);
                for row in (0..extent.rows).step_by(R) {
                    for token in (0..TOKENS_PER_PANEL).step_by(V::LANES) {
                        let mut sums = [V::splat(0.0); R];
                        for (r, sum) in sums.iter_mut().enumerate() {
                            *sum = V::load(partial[row + r].as_ptr().add(token));
                        }
                        for (col, values) in cols.iter().zip(values) {
                            let x = V::load(values.as_ptr().add(token));
                            let weights = tile.outliers.column(*col).as_ptr().add(row);
                            for (r, sum) in sums.iter_mut().enumerate() {
                                *sum = V::splat(*weights.add(r)).mul_add(x, *sum);
                            }
                        }
                        for (r, sum) in sums.into_iter().enumerate() {
                            sum.store(partial[row + r].as_mut_ptr().add(token));
                        }
                    }
                }
            }
        }
    }
}
