//! Routing of a mixture of experts: which experts see a token, and with what weight.

use super::{OpDef, inputs, same};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// How router logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Softmax over all experts.
    Softmax,
    /// Sigmoid of each.
    Sigmoid,
}

/// Chooses the `used` likeliest experts of each token.
///
/// Input: logits `[tokens, experts]`. Output `[tokens, 2 * used]`: the expert numbers (exact in F32), then the weights.
#[derive(Clone, Debug)]
pub struct Route {
    /// Experts to choose from.
    pub experts: usize,
    /// Experts chosen.
    pub used: usize,
    /// Probabilities.
    pub gating: Gating,
    /// Whether the chosen weights are scaled to sum to one.
    pub normalise: Normalise,
    /// Factor on the weights.
    pub scale: f32,
}

/// Whether the weights of the chosen experts are made to sum to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// They keep their probabilities.
    Keep,
    /// They sum to one.
    SumToOne,
}

/// Smallest sum the weights are divided by: the smallest normal half-precision number.
const SMALLEST_SUM: f32 = 6.103_515_6e-5;

impl Route {
    /// Routes one token: `logits [experts]` to `out [2 * used]`; `probabilities` is scratch of `experts` numbers.
    pub fn row(&self, logits: &[f32], out: &mut [f32], probabilities: &mut [f32]) {
        match self.gating {
            Gating::Softmax => {
                let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for (p, l) in probabilities.iter_mut().zip(logits) {
                    *p = (l - max).exp();
                    sum += *p;
                }
                probabilities.iter_mut().for_each(|p| *p /= sum);
            }
            Gating::Sigmoid => {
                for (p, l) in probabilities.iter_mut().zip(logits) {
                    *p = 1.0 / (1.0 + (-l).exp());
                }
            }
        }
        let (chosen, weights) = out.split_at_mut(self.used);
        for slot in 0..self.used {
            let mut best = 0;
            let mut best_probability = f32::NEG_INFINITY;
            for (expert, &p) in probabilities.iter().enumerate() {
                if p > best_probability && !chosen[..slot].contains(&(expert as f32)) {
                    (best, best_probability) = (expert, p);
                }
            }
            chosen[slot] = best as f32;
            weights[slot] = probabilities[best];
        }
        if self.normalise == Normalise::SumToOne {
            let sum: f32 = weights.iter().sum::<f32>().max(SMALLEST_SUM);
            weights.iter_mut().for_each(|w| *w /= sum);
        }
        weights.iter_mut().for_each(|w| *w *= self.scale);
    }
}

impl OpDef for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [logits] = inputs(self.name(), shapes)?;
        same(self.name(), "width of the logits", logits.width, self.experts)?;
        if self.used == 0 || self.used > self.experts {
            return Err(ShapeError::new(self.name(), format!("{} experts of {}", self.used, self.experts)));
        }
        Ok(logits.with_width(2 * self.used))
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], _context: &mut ReferenceContext<'_>) {
        let mut probabilities = vec![0.0; self.experts];
        for (logits, out) in inputs[0].chunks_exact(self.experts).zip(out.chunks_exact_mut(2 * self.used)) {
            self.row(logits, out, &mut probabilities);
        }
    }
}
