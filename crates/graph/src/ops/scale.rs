//! Multiplication by a constant.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out = factor * x`
#[derive(Clone, Debug)]
pub struct Scale {
    /// The constant.
    pub factor: f32,
}

impl OpDef for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        Ok(x)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], _context: &mut ReferenceContext<'_>) {
        for (y, x) in out.iter_mut().zip(inputs[0]) {
            *y = x * self.factor;
        }
    }
}
