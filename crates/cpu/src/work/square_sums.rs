//! Sums of squares down the columns of a value, for all its rows or for each expert's rows apart.

use std::ops::Range;

use ascua_graph::Place;

use super::experts::ExpertTables;
use crate::program::{Context, Size, Work};

/// Columns summed at a time.
const COLUMNS: usize = 64;

/// All rows together.
pub(crate) struct SquareSumsWork {
    pub input: Place,
    pub out: Place,
}

impl Work for SquareSumsWork {
    fn size(&self, _context: &Context<'_>) -> Size {
        Size::chunks(self.input.shape.width.div_ceil(COLUMNS), 1)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let rows = context.rows(&self.input);
        let width = self.input.shape.width;
        for piece in pieces {
            let columns = piece * COLUMNS..((piece + 1) * COLUMNS).min(width);
            let mut sums = [0.0; COLUMNS];
            for row in 0..rows {
                // SAFETY: the input is complete.
                add_squares(&mut sums, unsafe { context.row(&self.input, row, columns.clone()) });
            }
            // SAFETY: this piece owns these columns of the output.
            unsafe { context.row_mut(&self.out, 0, columns.clone()) }.copy_from_slice(&sums[..columns.len()]);
            if piece == 0 {
                // SAFETY: the first piece owns the last column too.
                unsafe { context.row_mut(&self.out, 0, width..width + 1)[0] = rows as f32 };
            }
        }
    }
}

/// Each expert's rows apart.
pub(crate) struct ExpertSquareSumsWork {
    pub tables: ExpertTables,
    pub input: Place,
    pub out: Place,
}

impl Work for ExpertSquareSumsWork {
    fn size(&self, _context: &Context<'_>) -> Size {
        Size::chunks(self.tables.experts, 1)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let width = self.input.shape.width;
        for expert in pieces {
            // SAFETY: the sort is complete.
            let rows = unsafe { self.tables.rows_of(context, expert, &self.input) };
            // SAFETY: this piece owns the expert's row of the output.
            let out = unsafe { context.row_mut(&self.out, expert, 0..width + 1) };
            out.fill(0.0);
            for &row in rows {
                // SAFETY: the input is complete.
                add_squares(out, unsafe { context.row(&self.input, row as usize, 0..width) });
            }
            out[width] = rows.len() as f32;
        }
    }
}

fn add_squares(sums: &mut [f32], row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
}
