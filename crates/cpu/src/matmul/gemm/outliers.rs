//! The part of a panel's outliers: what the integers of the panel leave out is multiplied in F32.

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::tiles::MAX_TOKENS;
use super::{Extent, GROUPS, SPAN, TILE_ROWS};
use crate::bits::set_bits;
use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::matmul::activation::{Columns, TOKENS_PER_PANEL};
use crate::matmul::quantised::Task;

/// The weights of a tile that outliers meet.
#[repr(C, align(64))]
pub(super) struct OutlierWeights {
    /// Of each column with an outlier of any token, its place among them.
    places: [u8; SPAN],
    /// Of each place the weights of all rows.
    weights: [[f32; TILE_ROWS]; SPAN],
}

/// The outliers' part of a tile's results, apart from the others': rows are lanes here, so that an outlier costs no more
/// for the tokens beside it that have none.
#[repr(C, align(64))]
pub(super) struct OutlierSums {
    /// Of each panel a bit for each token that has such a part.
    present: [u16; MAX_TOKENS / TOKENS_PER_PANEL],
    /// Of each token its part, where it has any.
    sums: [[f32; TILE_ROWS]; MAX_TOKENS],
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

impl KeepWeights<'_> {
    /// Keeps them, at a level.
    ///
    /// # Safety
    /// The machine has the level.
    pub unsafe fn keep(self, isa: Isa) {
        let mut present = Columns::default();
        for panel in 0..self.task.layout.pieces(self.task.tokens) {
            // SAFETY: the maker vouches for the panels and the span.
            present.insert_all(unsafe { self.task.layout.outliers(self.task.prepared, panel).columns(self.span) });
        }
        let mut count = 0;
        for col in present.iter() {
            self.kept.places[col] = count as u8;
            count += 1;
        }
        if count == 0 {
            return;
        }
        // SAFETY: says the caller.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if isa >= Isa::Avx512 {
                return avx512::keep(self, &present);
            }
            dispatch(isa, Keep { of: self, present });
        }
    }
}

/// Keeps the columns that are present.
struct Keep<'a> {
    of: KeepWeights<'a>,
    present: Columns,
}

impl Kernel for Keep<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(mut self) {
        let mut place = 0;
        for first in (0..SPAN).step_by(BLOCK) {
            let cols = self.present.sixteen(first / BLOCK);
            if cols != 0 {
                // SAFETY: the machine has the level of `V`.
                unsafe { self.of.keep_block::<V>(first, cols, place) };
                place += cols.count_ones() as usize;
            }
        }
    }
}

impl KeepWeights<'_> {
    /// Those of `cols` of the sixteen columns from `first` on, whose places begin with `place`.
    #[inline(always)]
    unsafe fn keep_block<V: Lanes>(&mut self, first: usize, cols: u16, place: usize) {
        // Groups are whole sixteens.
        let group = first / self.group;
        let mut unused = [0.0; TILE_ROWS];
        let mut places = [unused.as_mut_ptr(); BLOCK];
        for (col, kept) in set_bits(cols.into()).zip(&mut self.kept.weights[place..]) {
            places[col] = kept.as_mut_ptr();
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

/// Adds the part of the outliers in the tile's columns, of the extent's panels in turn, to sums that begin with the first
/// columns.
///
/// Its maker vouches that the panels are prepared, and that the weights are those of the extent's tile.
pub(super) struct AddOutliers<'a> {
    pub weights: &'a OutlierWeights,
    pub extent: Extent<'a>,
    pub sums: &'a mut OutlierSums,
}

impl Kernel for AddOutliers<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let AddOutliers { weights, extent, sums: OutlierSums { present, sums } } = self;
        for panel in extent.in_turn() {
            if extent.begins() {
                present[panel] = 0;
            }
            // SAFETY: says the maker.
            let outliers = unsafe {
                let outliers = extent.task.layout.outliers(extent.task.prepared, extent.first_panel + panel);
                outliers.of_span(extent.first_col / SPAN)
            };
            let sums = &mut sums[panel * TOKENS_PER_PANEL..(panel + 1) * TOKENS_PER_PANEL];
            for token in set_bits((outliers.present & !present[panel]).into()) {
                sums[token].fill(0.0);
            }
            present[panel] |= outliers.present;
            for (col, token, x) in outliers.iter() {
                let weights = &weights.weights[usize::from(weights.places[col])];
                // SAFETY: the machine has the level of `V`, and a tile has the rows.
                unsafe {
                    match extent.rows {
                        // A constant, for which the compiler leaves no loop.
                        TILE_ROWS => add::<V>(&mut sums[token], weights, x, TILE_ROWS),
                        rows => add::<V>(&mut sums[token], weights, x, rows),
                    }
                }
            }
        }
    }
}

/// Adds `x` times the weights of the first `rows` rows.
///
/// # Safety
/// The machine has the level of `V`; a tile has the rows.
#[inline(always)]
unsafe fn add<V: Lanes>(sums: &mut [f32; TILE_ROWS], weights: &[f32; TILE_ROWS], x: f32, rows: usize) {
    // SAFETY: says the caller; vectors divide the rows of a tile.
    unsafe {
        let x = V::splat(x);
        for row in (0..rows).step_by(V::LANES) {
            let sum = V::load(sums.as_ptr().add(row));
            V::load(weights.as_ptr().add(row)).mul_add(x, sum).store(sums.as_mut_ptr().add(row));
        }
    }
}

impl OutlierSums {
    /// Of a panel a bit for each token that has such a part, and the parts of those.
    pub fn of_panel(&self, panel: usize) -> (u16, &[[f32; TILE_ROWS]]) {
        (self.present[panel], &self.sums[panel * TOKENS_PER_PANEL..(panel + 1) * TOKENS_PER_PANEL])
    }
}
