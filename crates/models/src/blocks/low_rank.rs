//! What an adapter adds to a value that is made with a weight: `sum + up (factor * down x)`.
//!
//! The factor multiplies the narrow value in the middle, where it costs least.

use ascua_graph::ValueId;
use ascua_graph::ops::{Add, Embedding, ExpertMatMul, MatMul, Scale};

use crate::builder::{GraphBuilder, LowRankPair};
use crate::error::ModelError;

impl LowRankPair {
    /// Beside a product of `x`.
    pub(crate) fn add_product(
        &self,
        builder: &mut GraphBuilder<'_>,
        sum: ValueId,
        x: ValueId,
    ) -> Result<ValueId, ModelError> {
        let narrow = builder.record(MatMul::new(self.down), &[x])?; // [tokens, rank]
        let narrow = self.scaled(builder, narrow)?;
        let wide = builder.record(MatMul::new(self.up), &[narrow])?; // [tokens, rows]
        builder.record(Add, &[sum, wide])
    }

    /// Beside the product of `x` with the matrices of the experts in `route`.
    pub(crate) fn add_expert_product(
        &self,
        builder: &mut GraphBuilder<'_>,
        sum: ValueId,
        [x, route]: [ValueId; 2],
    ) -> Result<ValueId, ModelError> {
        let product = |weight| ExpertMatMul { weight, scale: None };
        let narrow = builder.record(product(self.down), &[x, route])?; // [tokens * used, rank]
        let narrow = self.scaled(builder, narrow)?;
        let wide = builder.record(product(self.up), &[narrow, route])?; // [tokens * used, rows]
        builder.record(Add, &[sum, wide])
    }

    /// Beside the rows of a table that the step's tokens name.
    pub(crate) fn add_embedding(&self, builder: &mut GraphBuilder<'_>, sum: ValueId) -> Result<ValueId, ModelError> {
        let narrow = builder.record(Embedding { weight: self.down }, &[])?; // [tokens, rank]
        let narrow = self.scaled(builder, narrow)?;
        let wide = builder.record(MatMul::new(self.up), &[narrow])?; // [tokens, width]
        builder.record(Add, &[sum, wide])
    }

    fn scaled(&self, builder: &mut GraphBuilder<'_>, narrow: ValueId) -> Result<ValueId, ModelError> {
        if self.factor == 1.0 {
            return Ok(narrow);
        }
        builder.record(Scale { factor: self.factor }, &[narrow])
    }
}
