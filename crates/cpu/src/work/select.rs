//! Keeps the rows whose logits are wanted.

use std::ops::Range;

use ascua_graph::Place;

use crate::program::{Context, Size, Work};

pub(crate) struct SelectWork {
    pub input: Place,
    pub out: Place,
}

impl Work for SelectWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Size::chunks(context.step.outputs.len(), 8)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let width = self.out.shape.width;
        for row in pieces {
            // SAFETY: this piece owns the row of the output; the input is complete.
            unsafe {
                let from = context.row(&self.input, context.step.outputs[row] as usize, 0..width);
                context.row_mut(&self.out, row, 0..width).copy_from_slice(from);
            }
        }
    }
}
