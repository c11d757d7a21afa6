//! Some columns of a value; a view, so it costs nothing (fused QKV, fused gate and up).

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out[t] = x[t][start..start + width]`
#[derive(Clone, Debug)]
pub struct Slice {
    /// First column.
    pub start: usize,
    /// Number of columns.
    pub width: usize,
}

impl OpDef for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        if self.start + self.width > x.width {
            return Err(ShapeError::new(
                self.name(),
                format!("columns {}..{} of a row of {}", self.start, self.start + self.width, x.width),
            ));
        }
        Ok(x.with_width(self.width))
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let from = context.input_widths[0];
        for (x, y) in inputs[0].chunks_exact(from).zip(out.chunks_exact_mut(self.width)) {
            y.copy_from_slice(&x[self.start..][..self.width]);
        }
    }
}
