//! Causal convolution over a few past tokens, one filter a channel, with the past kept as state (Mamba, Gu & Dao 2023).

use super::{OpDef, inputs, same};
use crate::graph::{Graph, StateId, StateSpec};
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// `out[t][c] = bias[c] + sum_k weight[c][k] * x[t - kernel + 1 + k][c]`, looking back into the state.
#[derive(Clone, Debug)]
pub struct ShortConvolution {
    /// `[kernel, channels]`
    pub weight: WeightId,
    /// `[channels]`
    pub bias: Option<WeightId>,
    /// `(kernel - 1) * channels` elements a sequence.
    pub state: StateId,
}

impl OpDef for ShortConvolution {
    fn name(&self) -> &'static str {
        "short_convolution"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        let weight = graph.weight_spec(self.weight);
        same(self.name(), "channels", x.width, weight.rows())?;
        let StateSpec::Recurrent { elements } = graph.states()[self.state.0 as usize] else {
            return Err(ShapeError::new(self.name(), "its state is not recurrent"));
        };
        same(self.name(), "elements of the state", elements, (weight.columns() - 1) * x.width)?;
        Ok(x)
    }

    fn weights(&self) -> Vec<WeightId> {
        [Some(self.weight), self.bias].into_iter().flatten().collect()
    }

    fn state(&self) -> Option<StateId> {
        Some(self.state)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let weight = context.weight(self.weight);
        let bias = self.bias.map(|b| context.weight(b));
        let (kernel, channels) = (context.spec(self.weight).columns(), context.width);
        let step = context.step;
        for run in step.runs {
            let past = context.recurrent(self.state, run.slot);
            for t in run.tokens.clone() {
                let x = &inputs[0][t * channels..][..channels];
                for c in 0..channels {
                    let mut sum = bias.as_ref().map_or(0.0, |b| b[c]);
                    for k in 0..kernel - 1 {
                        sum += weight[c * kernel + k] * past[k * channels + c];
                    }
                    out[t * channels + c] = sum + weight[c * kernel + kernel - 1] * x[c];
                }
                if kernel > 1 {
                    past.copy_within(channels.., 0);
                    past[(kernel - 2) * channels..].copy_from_slice(x);
                }
            }
        }
    }
}
