//! The product with a weight matrix: where nearly all time and memory goes.

use super::{OpDef, inputs, same};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// `out[t][r] = scale * sum_k weight[r][k] * x[t][k] + bias[r]`
#[derive(Clone, Debug)]
pub struct MatMul {
    /// `[columns, rows]`
    pub weight: WeightId,
    /// `[rows]`
    pub bias: Option<WeightId>,
    /// `[1]`: factor on the product (formats with a scale per tensor).
    pub scale: Option<WeightId>,
    /// What the factor multiplies.
    pub scaled: Scaled,
}

/// What a tensor's own factor multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// The product; the bias is added after.
    Product,
    /// The sum of product and bias.
    ProductAndBias,
}

impl MatMul {
    /// The bare product.
    pub fn new(weight: WeightId) -> MatMul {
        MatMul { weight, bias: None, scale: None, scaled: Scaled::Product }
    }

    /// The numbers `(factor, bias factor)` with which `out = factor * product + bias factor * bias`.
    pub fn factors(&self, scale: f32) -> (f32, f32) {
        match self.scaled {
            Scaled::Product => (scale, 1.0),
            Scaled::ProductAndBias => (scale, scale),
        }
    }
}

impl OpDef for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        let weight = graph.weight_spec(self.weight);
        same(self.name(), &format!("width of the input of `{}`", weight.name), x.width, weight.columns())?;
        if let Some(bias) = self.bias {
            same(self.name(), "bias length", graph.weight_spec(bias).elements(), weight.rows())?;
        }
        if let Some(scale) = self.scale {
            same(self.name(), "scale length", graph.weight_spec(scale).elements(), 1)?;
        }
        Ok(x.with_width(weight.rows()))
    }

    fn weights(&self) -> Vec<WeightId> {
        [Some(self.weight), self.bias, self.scale].into_iter().flatten().collect()
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let weight = context.weight(self.weight);
        let bias = self.bias.map(|b| context.weight(b));
        let scale = self.scale.map_or(1.0, |s| context.weight(s)[0]);
        let (factor, bias_factor) = self.factors(scale);
        let (columns, rows) = (context.spec(self.weight).columns(), context.spec(self.weight).rows());
        for (x, y) in inputs[0].chunks_exact(columns).zip(out.chunks_exact_mut(rows)) {
            for (r, w) in weight.chunks_exact(columns).enumerate() {
                let sum: f64 = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                y[r] = sum as f32 * factor + bias.as_ref().map_or(0.0, |b| b[r] * bias_factor);
            }
        }
    }
}
