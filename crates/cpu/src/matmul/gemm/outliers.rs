//! The part of a panel's outliers: what the integers of the panel leave out is multiplied in F32.

use std::mem::MaybeUninit;

use super::{Extent, GROUPS, Partial, SPAN, TILE_ROWS, Tile};
use crate::bits::set_bits;
use crate::lanes::{Kernel, Lanes};
use crate::matmul::activation::{Columns, TOKENS_PER_PANEL};
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

impl OutlierWeights {
    /// The weights of all rows in a column that has an outlier.
    #[inline(always)]
    fn column(&self, col: u8) -> &[f32; TILE_ROWS] {
        &self.weights[usize::from(self.places[usize::from(col)])]
    }
}

/// Keeps the weights of a decoded tile that any of the task's outliers meets.
///
/// Its maker vouches that the task's panels are prepared and have the span.
pub(super) struct KeepWeights<'a> {
    pub values: &'a [[i8; SPAN]; TILE_ROWS],
    pub scales: &'a [[f32; GROUPS]; TILE_ROWS],
    pub offsets: &'a [[f32; GROUPS]; TILE_ROWS],
    /// Rows in use.
    pub rows: usize,
    /// Elements that share a scale.
    pub group: usize,
    pub task: &'a Task<'a>,
    pub span: usize,
    pub kept: &'a mut OutlierWeights,
}

/// Rows and columns of weights that are turned together.
const BLOCK: usize = 16;
/// From as many columns of a block on, all of it is turned.
const TURN_FROM: u32 = 3;

impl Kernel for KeepWeights<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(mut self) {
        let mut present = Columns::default();
        for panel in 0..self.task.layout.pieces(self.task.tokens) {
            // SAFETY: the maker vouches for the panels and the span.
            let outliers = unsafe { self.task.layout.outliers(self.task.prepared, panel).of_span(self.span) };
            outliers.cols.iter().for_each(|col| present.insert(usize::from(*col)));
        }
        self.kept.count = 0;
        for first in (0..SPAN).step_by(BLOCK) {
            let cols = present.sixteen(first / BLOCK);
            if cols != 0 {
                // SAFETY: the machine has the level of `V`.
                unsafe { self.keep_block::<V>(first, cols) };
            }
        }
    }
}

impl KeepWeights<'_> {
    /// Those of `cols` of the sixteen columns from `first` on.
    #[inline(always)]
    unsafe fn keep_block<V: Lanes>(&mut self, first: usize, cols: u16) {
        // Groups are whole sixteens.
        let group = first / self.group;
        let mut unused = [0.0; TILE_ROWS];
        let mut places = [unused.as_mut_ptr(); BLOCK];
        for col in set_bits(cols.into()) {
            self.kept.places[first + col] = self.kept.count as u8;
            places[col] = self.kept.weights[self.kept.count].as_mut_ptr();
            self.kept.count += 1;
        }
        if cols.count_ones() < TURN_FROM {
            for col in set_bits(cols.into()) {
                for row in 0..self.rows {
                    let value = f32::from(self.values[row][first + col]);
                    // The product has at most 24 bits: as below, only the sum is rounded.
                    let weight = value * self.scales[row][group] + self.offsets[row][group];
                    // SAFETY: a column has room for the rows of a tile.
                    unsafe { *places[col].add(row) = weight };
                }
            }
            return;
        }
        for row in (0..self.rows).step_by(BLOCK) {
            // What rows beyond those in use hold of an earlier tile is never stored.
            let mut weights = [[0.0; BLOCK]; BLOCK];
            for (r, weights) in (row..).zip(&mut weights) {
                // SAFETY: blocks divide tiles.
                unsafe {
                    let (scale, offset) = (V::splat(self.scales[r][group]), V::splat(self.offsets[r][group]));
                    for lane in (0..BLOCK).step_by(V::LANES) {
                        let values = V::load_i8(self.values[r].as_ptr().add(first + lane));
                        values.mul_add(scale, offset).store(weights.as_mut_ptr().add(lane));
                    }
                }
            }
            // SAFETY: places have room for the rows of a tile, and so has what is not used.
            unsafe {
                V::transpose(std::array::from_fn(|r| weights[r].as_ptr()), places.map(|place| place.add(row)));
            }
        }
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
        let mut spread = [const { MaybeUninit::uninit() }; SPAN];
        for panel in extent.in_turn() {
            // SAFETY: panels and rows stay within the extent, whose results these are.
            unsafe {
                let outliers = extent.task.layout.outliers(extent.task.prepared, extent.first_panel + panel);
                let outliers = outliers.of_span(extent.first_col / SPAN);
                let cols = outliers.cols;
                if cols.is_empty() {
                    continue;
                }
                outliers.spread::<V>(&mut spread);
                let partial = &mut *partial.add(panel);
                for row in (0..extent.rows).step_by(R) {
                    for token in (0..TOKENS_PER_PANEL).step_by(V::LANES) {
                        let mut sums = [V::splat(0.0); R];
                        for (r, sum) in sums.iter_mut().enumerate() {
                            *sum = V::load(partial[row + r].as_ptr().add(token));
                        }
                        for (col, x) in cols.iter().zip(&spread) {
                            // Written for as many columns.
                            let x = V::load(x.as_ptr().cast::<f32>().add(token));
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
