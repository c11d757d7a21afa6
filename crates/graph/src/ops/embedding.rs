//! Token embedding: the rows of a table that the step's tokens name.

use super::{OpDef, inputs};
use crate::graph::Graph;
use crate::reference::ReferenceContext;
use crate::shape::{Shape, ShapeError};
use crate::weights::WeightId;

/// `out[t] = table[tokens[t]]`
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `[width, vocabulary]`
    pub weight: WeightId,
}

impl OpDef for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        inputs::<0>(self.name(), shapes)?;
        Ok(Shape::tokens(graph.weight_spec(self.weight).columns()))
    }

    fn weights(&self) -> Vec<WeightId> {
        vec![self.weight]
    }

    fn reference(&self, _inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let table = context.weight(self.weight);
        let width = context.spec(self.weight).columns();
        for (row, &token) in out.chunks_exact_mut(width).zip(context.step.tokens) {
            row.copy_from_slice(&table[token as usize * width..][..width]);
        }
    }
}
