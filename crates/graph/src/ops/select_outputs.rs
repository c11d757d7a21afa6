//! Keeps the rows whose logits are wanted, so that the last layers are not computed for the others.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{RowUnit, Rows, Shape, ShapeError};

/// `out[i] = x[outputs[i]]`
#[derive(Clone, Debug)]
pub struct SelectOutputs;

impl OpDef for SelectOutputs {
    fn name(&self) -> &'static str {
        "select_outputs"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        if x.rows != (Rows { unit: RowUnit::Tokens, per: 1 }) {
            return Err(ShapeError::new(self.name(), format!("input {x} has not one row a token")));
        }
        Ok(Shape { rows: Rows { unit: RowUnit::Outputs, per: 1 }, width: x.width })
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        for (y, &row) in out.chunks_exact_mut(context.width).zip(context.step.outputs) {
            y.copy_from_slice(&inputs[0][row as usize * context.width..][..context.width]);
        }
    }
}
