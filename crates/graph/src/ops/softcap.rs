//! Soft limit on logits (Gemma 2): a tanh that is nearly the identity far from the limit.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out = limit * tanh(x / limit)`
#[derive(Clone, Debug)]
pub struct Softcap {
    /// Largest magnitude that comes out.
    pub limit: f32,
}

impl OpDef for Softcap {
    fn name(&self) -> &'static str {
        "softcap"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        Ok(x)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], _context: &mut ReferenceContext<'_>) {
        for (y, x) in out.iter_mut().zip(inputs[0]) {
            *y = self.limit * (x / self.limit).tanh();
        }
    }
}
