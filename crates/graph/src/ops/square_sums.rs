//! Sums of squares down the columns of a step: what an importance matrix is made of.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out[0][k] = sum_t x[t][k]^2`, and the number of rows summed as the last element.
#[derive(Clone, Debug)]
pub struct SquareSums;

impl OpDef for SquareSums {
    fn name(&self) -> &'static str {
        "square_sums"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        Ok(Shape::fixed(1, x.width + 1))
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let width = context.input_widths[0];
        for x in inputs[0].chunks_exact(width) {
            out.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * x);
            out[width] += 1.0;
        }
    }
}
