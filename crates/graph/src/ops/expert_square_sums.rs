//! As `square_sums`, for each expert of a mixture apart.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out[e][k]` is the sum of `x[k]^2` over the rows that expert `e` sees; their number is the last element of the row.
///
/// Inputs as those of [`super::ExpertMatMul`].
#[derive(Clone, Debug)]
pub struct ExpertSquareSums {
    /// Experts there are.
    pub experts: usize,
}

impl OpDef for ExpertSquareSums {
    fn name(&self) -> &'static str {
        "expert_square_sums"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x, route] = inputs(self.name(), shapes)?;
        let used = route.width / 2;
        if x.rows != route.rows && x.rows != route.repeated(used, x.width).rows {
            return Err(ShapeError::new(self.name(), format!("input {x} for {used} experts a token")));
        }
        Ok(Shape::fixed(self.experts, x.width + 1))
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let width = context.input_widths[0];
        let used = context.input_widths[1] / 2;
        let tokens = inputs[1].len() / (2 * used);
        let per = inputs[0].len() / (tokens * width).max(1);
        for (token, slot) in (0..tokens).flat_map(|token| (0..used).map(move |slot| (token, slot))) {
            let expert = inputs[1][token * 2 * used + slot] as usize;
            let x = &inputs[0][(token * per + slot % per) * width..][..width];
            let out = &mut out[expert * (width + 1)..][..width + 1];
            out.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * x);
            out[width] += 1.0;
        }
    }
}
