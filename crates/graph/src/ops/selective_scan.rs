//! The selective state-space recurrence of Mamba (Gu & Dao 2023), one step a token.

use super::{OpDef, inputs, same};
use crate::graph::{Graph, StateId, StateSpec};
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// `h = exp(dt * A) h + dt * x * B;  out = h · C + D * x`, with a state `[channels, size]` for each sequence.
///
/// Inputs: `x [tokens, channels]`, `dt [tokens, channels]` (before softplus), `B [tokens, size]`, `C [tokens, size]`.
#[derive(Clone, Debug)]
pub struct SelectiveScan {
    /// `[size, channels]`
    pub a: WeightId,
    /// `[channels]`
    pub d: WeightId,
    /// `channels * size` elements a sequence.
    pub state: StateId,
}

impl OpDef for SelectiveScan {
    fn name(&self) -> &'static str {
        "selective_scan"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        let [x, dt, b, c] = inputs(self.name(), shapes)?;
        let a = graph.weight_spec(self.a);
        same(self.name(), "width of dt", dt.width, x.width)?;
        same(self.name(), "channels", x.width, a.rows())?;
        same(self.name(), "width of B", b.width, a.columns())?;
        same(self.name(), "width of C", c.width, a.columns())?;
        let StateSpec::Recurrent { elements } = graph.states()[self.state.0 as usize] else {
            return Err(ShapeError::new(self.name(), "its state is not recurrent"));
        };
        same(self.name(), "elements of the state", elements, a.elements())?;
        Ok(x)
    }

    fn weights(&self) -> Vec<WeightId> {
        vec![self.a, self.d]
    }

    fn state(&self) -> Option<StateId> {
        Some(self.state)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let (a, d) = (context.weight(self.a), context.weight(self.d));
        let (size, channels) = (context.spec(self.a).columns(), context.width);
        let step = context.step;
        for run in step.runs {
            let state = context.recurrent(self.state, run.slot);
            for t in run.tokens.clone() {
                let (b, c) = (&inputs[2][t * size..][..size], &inputs[3][t * size..][..size]);
                for channel in 0..channels {
                    let x = inputs[0][t * channels + channel];
                    let raw = inputs[1][t * channels + channel];
                    let dt = if raw > 20.0 { raw } else { raw.exp().ln_1p() };
                    let mut sum = d[channel] * x;
                    for n in 0..size {
                        let h = &mut state[channel * size + n];
                        *h = (dt * a[channel * size + n]).exp() * *h + dt * x * b[n];
                        sum += *h * c[n];
                    }
                    out[t * channels + channel] = sum;
                }
            }
        }
    }
}
