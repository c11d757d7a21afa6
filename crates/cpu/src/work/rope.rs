//! Rotary positions: a table of angles for the step, made once, and the rotation of queries and keys.

use std::ops::Range;

use ascua_graph::{Place, RopeParameters, RopeStyle};

use crate::program::{Context, Size, Work};

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
        Size { pieces: context.step.tokens.len(), chunk: 8 }
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

pub(crate) struct RopeWork {
    pub style: RopeStyle,
    pub rotary_size: usize,
    pub heads: usize,
    pub table: usize,
    pub input: Place,
    pub out: Place,
}

impl Work for RopeWork {
    fn size(&self, context: &Context<'_>) -> Size {
        let rows = context.rows(&self.out);
        Size { pieces: rows, chunk: (rows / (8 * context.threads)).max(1) }
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let width = self.out.shape.width;
        let half = self.rotary_size / 2;
        for token in pieces {
            // SAFETY: input and table are complete; this piece owns the row of the output.
            let (input, out, table) = unsafe {
                let table = context.shared(self.table).cast::<f32>().add(token * self.rotary_size);
                (
                    context.row(&self.input, token, 0..width),
                    context.row_mut(&self.out, token, 0..width),
                    std::slice::from_raw_parts(table, self.rotary_size),
                )
            };
            let (cosines, sines) = table.split_at(half);
            let size = width / self.heads;
            for (x, y) in input.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
                rotate(self.style, x, y, cosines, sines);
            }
        }
    }
}

/// Rotates one head; elements past the rotated ones pass through.
fn rotate(style: RopeStyle, x: &[f32], y: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let half = cosines.len();
    match style {
        RopeStyle::Neox => {
            let (first, second) = (&x[..half], &x[half..2 * half]);
            let (low, high) = y.split_at_mut(half);
            for i in 0..half {
                low[i] = first[i] * cosines[i] - second[i] * sines[i];
                high[i] = first[i] * sines[i] + second[i] * cosines[i];
            }
        }
        RopeStyle::Normal => {
            for i in 0..half {
                let (a, b) = (x[2 * i], x[2 * i + 1]);
                y[2 * i] = a * cosines[i] - b * sines[i];
                y[2 * i + 1] = a * sines[i] + b * cosines[i];
            }
        }
    }
    y[2 * half..].copy_from_slice(&x[2 * half..]);
}
