//! Work on each element: sums, factors, gates.

use std::ops::Range;

use ascua_graph::Place;

use super::Tiles;
use super::rows::RowWork;
use crate::elementwise::{Activation, Elementwise};
use crate::program::{Context, Size, Work};

/// What becomes of the elements.
pub(crate) enum Function {
    /// `a + b`
    Add {
        /// The second term.
        b: Place,
    },
    /// `factor * a`
    Scale {
        /// The factor.
        factor: f32,
    },
    /// `limit * tanh(a / limit)`
    Softcap {
        /// The limit.
        limit: f32,
    },
    /// `activation(a) * up`
    Gate {
        /// The non-linearity.
        activation: Activation,
        /// What is gated.
        up: Place,
    },
    /// `a * sigmoid(gate)`, one gate a row
    GateRows {
        /// One number a row.
        gate: Place,
    },
}

/// `out = function(a, …)`, element by element.
pub(crate) struct ElementwiseWork {
    pub kernels: Elementwise,
    pub function: Function,
    pub a: Place,
    pub out: Place,
}

impl Work for ElementwiseWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Tiles::new(context, &self.out).size()
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let tiles = Tiles::new(context, &self.out);
        for (row, columns) in pieces.map(|piece| tiles.tile(piece)) {
            // SAFETY: passed on.
            unsafe { self.columns(context, row, columns) };
        }
    }
}

impl RowWork for ElementwiseWork {
    unsafe fn rows(&self, context: &Context<'_>, rows: Range<usize>) {
        for row in rows {
            // SAFETY: passed on.
            unsafe { self.columns(context, row, 0..self.out.shape.width) };
        }
    }

    fn by_columns(&self) -> Option<&dyn Work> {
        Some(self)
    }
}

impl ElementwiseWork {
    /// # Safety
    /// The inputs are complete, and the caller owns these columns of the output's row.
    unsafe fn columns(&self, context: &Context<'_>, row: usize, columns: Range<usize>) {
        let n = columns.len();
        // SAFETY: as the caller promises; inputs are not where the output is.
        unsafe {
            let input = |place: &Place| context.row(place, row, columns.clone()).as_ptr();
            let a = input(&self.a);
            let out = context.row_mut(&self.out, row, columns.clone()).as_mut_ptr();
            match &self.function {
                Function::Add { b } => self.kernels.add(a, input(b), n, out),
                Function::Scale { factor } => self.kernels.scale(a, *factor, n, out),
                Function::Softcap { limit } => self.kernels.softcap(a, *limit, n, out),
                Function::Gate { activation, up } => self.kernels.gate(*activation, a, input(up), n, out),
                Function::GateRows { gate } => {
                    let gate = context.row(gate, row, 0..1)[0];
                    self.kernels.scale(a, 1.0 / (1.0 + (-gate).exp()), n, out);
                }
            }
        }
    }
}
