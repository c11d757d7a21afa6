//! The product of each token with the matrices of the experts it was routed to.

use super::{OpDef, inputs, same};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// `out[t * used + i] = scale[e] * weight[e] x`, where `e` is the `i`-th expert of token `t`.
///
/// Inputs: `x` with one row a token, or with `used` rows a token (row `t * used + i` for expert `i`); the routing.
#[derive(Clone, Debug)]
pub struct ExpertMatMul {
    /// `[columns, rows, experts]`
    pub weight: WeightId,
    /// `[experts]`: factor on each expert's product.
    pub scale: Option<WeightId>,
}

impl OpDef for ExpertMatMul {
    fn name(&self) -> &'static str {
        "expert_matmul"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        let [x, route] = inputs(self.name(), shapes)?;
        let used = route.width / 2;
        let weight = graph.weight_spec(self.weight);
        same(self.name(), &format!("width of the input of `{}`", weight.name), x.width, weight.columns())?;
        let repeated = route.repeated(used, weight.rows());
        if x.rows != route.rows && x.rows != repeated.rows {
            return Err(ShapeError::new(self.name(), format!("input {x} for {used} experts a token")));
        }
        Ok(repeated)
    }

    fn weights(&self) -> Vec<WeightId> {
        [Some(self.weight), self.scale].into_iter().flatten().collect()
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let weight = context.weight(self.weight);
        let scale = self.scale.map(|s| context.weight(s));
        let (columns, rows) = (context.spec(self.weight).columns(), context.spec(self.weight).rows());
        let used = context.input_widths[1] / 2;
        let tokens = inputs[1].len() / (2 * used);
        let per = inputs[0].len() / (tokens * columns).max(1);
        for (index, y) in out.chunks_exact_mut(rows).enumerate() {
            let (token, slot) = (index / used, index % used);
            let expert = inputs[1][token * 2 * used + slot] as usize;
            let x = &inputs[0][(token * per + slot % per) * columns..][..columns];
            for (r, y) in y.iter_mut().enumerate() {
                let w = &weight[(expert * rows + r) * columns..][..columns];
                let sum: f64 = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                *y = sum as f32 * scale.as_ref().map_or(1.0, |s| s[expert]);
            }
        }
    }
}
