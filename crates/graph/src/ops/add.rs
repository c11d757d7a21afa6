//! Sum of two values: the residual connection.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out = a + b`
#[derive(Clone, Debug)]
pub struct Add;

impl OpDef for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [a, b] = inputs(self.name(), shapes)?;
        if a == b { Ok(a) } else { Err(ShapeError::new(self.name(), format!("{a} and {b} differ"))) }
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], _context: &mut ReferenceContext<'_>) {
        for ((y, a), b) in out.iter_mut().zip(inputs[0]).zip(inputs[1]) {
            *y = a + b;
        }
    }
}
