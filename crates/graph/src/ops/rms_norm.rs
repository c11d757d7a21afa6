//! Root-mean-square normalisation (Zhang & Sennrich 2019), over the whole row or over each head.

use super::{OpDef, inputs, same};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// `out = x / sqrt(mean(x²) + epsilon) * weight`, for each of `groups` equal parts of a row.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// `[width / groups]` (the same for every group) or `[width]`.
    pub weight: Option<WeightId>,
    /// Added to the mean of squares.
    pub epsilon: f32,
    /// Parts of the row that are normalised on their own.
    pub groups: usize,
}

impl OpDef for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        if self.groups == 0 || x.width % self.groups != 0 {
            return Err(ShapeError::new(self.name(), format!("width {} does not divide into {} groups", x.width, self.groups)));
        }
        if let Some(weight) = self.weight {
            let found = graph.weight_spec(weight).elements();
            if found != x.width {
                same(self.name(), "weight length", found, x.width / self.groups)?;
            }
        }
        Ok(x)
    }

    fn weights(&self) -> Vec<WeightId> {
        self.weight.into_iter().collect()
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let weight = self.weight.map(|w| context.weight(w));
        let size = context.width / self.groups;
        for (index, (x, y)) in inputs[0].chunks_exact(size).zip(out.chunks_exact_mut(size)).enumerate() {
            let mean = x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>() / size as f64;
            let factor = 1.0 / (mean as f32 + self.epsilon).sqrt();
            for i in 0..size {
                let w = weight.as_ref().map_or(1.0, |w| w[(index % self.groups * size + i) % w.len()]);
                y[i] = x[i] * factor * w;
            }
        }
    }
}
