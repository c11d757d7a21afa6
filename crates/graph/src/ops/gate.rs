//! Gated activation of a feed-forward block (Shazeer 2020): SwiGLU, GeGLU.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};

/// The non-linearity of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateActivation {
    /// `x * sigmoid(x)`
    Silu,
    /// `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³)))`
    Gelu,
    /// `max(x, 0)`
    Relu,
}

impl GateActivation {
    /// The function on one number, accurate to F32 rounding.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            GateActivation::Silu => x / (1.0 + (-x).exp()),
            GateActivation::Gelu => {
                const SQRT_2_OVER_PI: f32 = 0.797_884_6;
                0.5 * x * (1.0 + (SQRT_2_OVER_PI * x * (1.0 + 0.044715 * x * x)).tanh())
            }
            GateActivation::Relu => x.max(0.0),
        }
    }
}

/// `out = activation(gate) * up`
#[derive(Clone, Debug)]
pub struct Gate {
    /// Applied to the first input.
    pub activation: GateActivation,
}

impl OpDef for Gate {
    fn name(&self) -> &'static str {
        match self.activation {
            GateActivation::Silu => "silu_gate",
            GateActivation::Gelu => "gelu_gate",
            GateActivation::Relu => "relu_gate",
        }
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [gate, up] = inputs(self.name(), shapes)?;
        if gate == up { Ok(gate) } else { Err(ShapeError::new(self.name(), format!("{gate} and {up} differ"))) }
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], _context: &mut ReferenceContext<'_>) {
        for ((y, gate), up) in out.iter_mut().zip(inputs[0]).zip(inputs[1]) {
            *y = self.activation.apply(*gate) * up;
        }
    }
}
