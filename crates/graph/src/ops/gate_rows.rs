//! A sigmoid gate of one number per row: the shared expert of Qwen2-MoE.

use super::{OpDef, inputs, same};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out[t] = x[t] * sigmoid(gate[t])`
#[derive(Clone, Debug)]
pub struct GateRows;

impl OpDef for GateRows {
    fn name(&self) -> &'static str {
        "gate_rows"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x, gate] = inputs(self.name(), shapes)?;
        same(self.name(), "width of the gate", gate.width, 1)?;
        Ok(x)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        for ((y, x), gate) in out.chunks_exact_mut(context.width).zip(inputs[0].chunks_exact(context.width)).zip(inputs[1]) {
            let factor = 1.0 / (1.0 + (-gate).exp());
            for (y, x) in y.iter_mut().zip(x) {
                *y = x * factor;
            }
        }
    }
}
