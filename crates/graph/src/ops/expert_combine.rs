//! The weighted sum of the experts' answers.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// `out[t] = sum_i weight[t][i] * x[t * used + i]`; inputs: `x`, the routing.
#[derive(Clone, Debug)]
pub struct ExpertCombine;

impl OpDef for ExpertCombine {
    fn name(&self) -> &'static str {
        "expert_combine"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x, route] = inputs(self.name(), shapes)?;
        if x.rows != route.repeated(route.width / 2, x.width).rows {
            return Err(ShapeError::new(self.name(), format!("input {x} for {} experts a token", route.width / 2)));
        }
        Ok(route.with_width(x.width))
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let used = context.input_widths[1] / 2;
        let width = context.width;
        for (token, y) in out.chunks_exact_mut(width).enumerate() {
            y.fill(0.0);
            for slot in 0..used {
                let weight = inputs[1][token * 2 * used + used + slot];
                let x = &inputs[0][(token * used + slot) * width..][..width];
                y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
            }
        }
    }
}
