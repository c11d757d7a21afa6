//! Rotary positions: a table of angles for the step, made once, and the rotation of queries and keys.

use std::ops::Range;

use ascua_graph::{Place, RopeParameters};

use super::rows::RowWork;
use crate::program::{Context, Size, Work};
use crate::rope::RopeKernel;

/// Cosines and sines of the step's positions, `[tokens][2][rotary_size / 2]` in the shared scratch.
pub(crate) struct RopeTableWork {
    pub parameters: RopeParameters,
    pub table: usize,
}

impl RopeTableWork {
    /// Bytes of the table.
    pub fn bytes(parameters: &RopeParameters, tokens: usize) -> usize {
        tokens * parameters.rotary_size * size_of::<f32>()
    }
}

impl Work for RopeTableWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Size::chunks(context.step.tokens.len(), 8)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let size = self.parameters.rotary_size;
        for token in pieces {
            // SAFETY: this piece owns the token's part of the table.
            let row = unsafe {
                let start = context.shared(self.table).cast::<f32>().add(token * size);
                std::slice::from_raw_parts_mut(start, size)
            };
            let (cosines, sines) = row.split_at_mut(size / 2);
            self.parameters.angles(context.step.positions[token], cosines, sines);
        }
    }
}

/// Rotates the heads of each row.
pub(crate) struct RopeWork {
    pub kernel: RopeKernel,
    pub rotary_size: usize,
    pub table: usize,
    pub input: Place,
    pub out: Place,
}

impl RowWork for RopeWork {
    unsafe fn rows(&self, context: &Context<'_>, rows: Range<usize>) {
        let width = self.out.shape.width;
        for row in rows {
            let token = context.step.token(self.out.shape.rows.unit, row);
            // SAFETY: the row of the input and the table are complete; the caller owns the row of the output.
            unsafe {
                let x = context.row(&self.input, row, 0..width).as_ptr();
                let out = context.row_mut(&self.out, row, 0..width).as_mut_ptr();
                let cosines = context.shared(self.table).cast::<f32>().add(token * self.rotary_size);
                self.kernel.rotate(x, cosines, cosines.add(self.rotary_size / 2), out);
            }
        }
    }
}
