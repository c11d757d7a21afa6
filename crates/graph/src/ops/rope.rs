//! Rotary position embedding of queries or keys.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::rope::{RopeParameters, RopeStyle};
use crate::shape::{Shape, ShapeError};

/// Rotates the first `rotary_size` elements of each head by angles that grow with the position.
#[derive(Clone, Debug)]
pub struct Rope {
    /// Angles and pairing.
    pub parameters: RopeParameters,
    /// Heads in a row.
    pub heads: usize,
}

impl OpDef for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn shape(&self, shapes: &[Shape], _graph: &Graph) -> Result<Shape, ShapeError> {
        let [x] = inputs(self.name(), shapes)?;
        let head_size = x.width / self.heads.max(1);
        let rotary = self.parameters.rotary_size;
        if self.heads == 0 || x.width % self.heads != 0 || rotary > head_size || !rotary.is_multiple_of(2) {
            return Err(ShapeError::new(
                self.name(),
                format!("rotary size {rotary} does not fit {} heads in a row of {}", self.heads, x.width),
            ));
        }
        if let Some(factors) = &self.parameters.factors
            && factors.len() < rotary / 2
        {
            return Err(ShapeError::new(self.name(), format!("{} factors for {} frequencies", factors.len(), rotary / 2)));
        }
        Ok(x)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        out.copy_from_slice(inputs[0]);
        let half = self.parameters.rotary_size / 2;
        for (row, out) in out.chunks_exact_mut(context.width).enumerate() {
            let position = context.step.positions[context.step.token(context.unit, row)];
            let (mut cosines, mut sines) = (vec![0.0; half], vec![0.0; half]);
            self.parameters.angles(position, &mut cosines, &mut sines);
            for head in out.chunks_exact_mut(context.width / self.heads) {
                for pair in 0..half {
                    let (a, b) = match self.parameters.style {
                        RopeStyle::Normal => (2 * pair, 2 * pair + 1),
                        RopeStyle::Neox => (pair, pair + half),
                    };
                    let (x, y) = (head[a], head[b]);
                    head[a] = x * cosines[pair] - y * sines[pair];
                    head[b] = x * sines[pair] + y * cosines[pair];
                }
            }
        }
    }
}
