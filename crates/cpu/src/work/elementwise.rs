//! Work on each element: sums, factors, gates.

use std::ops::Range;

use ascua_graph::Place;
use ascua_graph::ops::GateActivation;

use super::Tiles;
use crate::program::{Context, Size, Work};

/// `out = a + b`
pub(crate) struct AddWork {
    pub a: Place,
    pub b: Place,
    pub out: Place,
}

impl Work for AddWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Tiles::new(context, &self.out).size()
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let tiles = Tiles::new(context, &self.out);
        for (row, columns) in pieces.map(|piece| tiles.tile(piece)) {
            // SAFETY: inputs are complete; this piece owns these columns of the output.
            unsafe {
                let (a, b) = (context.row(&self.a, row, columns.clone()), context.row(&self.b, row, columns.clone()));
                for ((y, a), b) in context.row_mut(&self.out, row, columns).iter_mut().zip(a).zip(b) {
                    *y = a + b;
                }
            }
        }
    }
}

/// A function of one number.
pub(crate) enum Function {
    /// `factor * x`
    Scale(f32),
    /// `limit * tanh(x / limit)`
    Softcap(f32),
}

/// `out = function(x)`
pub(crate) struct MapWork {
    pub function: Function,
    pub input: Place,
    pub out: Place,
}

impl Work for MapWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Tiles::new(context, &self.out).size()
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let tiles = Tiles::new(context, &self.out);
        for (row, columns) in pieces.map(|piece| tiles.tile(piece)) {
            // SAFETY: as for `AddWork`.
            let (x, y) =
                unsafe { (context.row(&self.input, row, columns.clone()), context.row_mut(&self.out, row, columns)) };
            match self.function {
                Function::Scale(factor) => y.iter_mut().zip(x).for_each(|(y, x)| *y = x * factor),
                Function::Softcap(limit) => y.iter_mut().zip(x).for_each(|(y, x)| *y = limit * (x / limit).tanh()),
            }
        }
    }
}

/// `out = activation(gate) * up`
pub(crate) struct GateWork {
    pub activation: GateActivation,
    pub gate: Place,
    pub up: Place,
    pub out: Place,
}

impl Work for GateWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Tiles::new(context, &self.out).size()
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let tiles = Tiles::new(context, &self.out);
        for (row, columns) in pieces.map(|piece| tiles.tile(piece)) {
            // SAFETY: as for `AddWork`.
            let (gate, up, y) = unsafe {
                (
                    context.row(&self.gate, row, columns.clone()),
                    context.row(&self.up, row, columns.clone()),
                    context.row_mut(&self.out, row, columns),
                )
            };
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = self.activation.apply(*gate) * up;
            }
        }
    }
}

/// `out[t] = x[t] * sigmoid(gate[t])`
pub(crate) struct GateRowsWork {
    pub input: Place,
    pub gate: Place,
    pub out: Place,
}

impl Work for GateRowsWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Tiles::new(context, &self.out).size()
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let tiles = Tiles::new(context, &self.out);
        for (row, columns) in pieces.map(|piece| tiles.tile(piece)) {
            // SAFETY: as for `AddWork`.
            unsafe {
                let gate = context.row(&self.gate, row, 0..1)[0];
                let factor = 1.0 / (1.0 + (-gate).exp());
                let x = context.row(&self.input, row, columns.clone());
                for (y, x) in context.row_mut(&self.out, row, columns).iter_mut().zip(x) {
                    *y = x * factor;
                }
            }
        }
    }
}
