//! A product with a named weight, its optional bias and factor, and what adapters add beside it.

use ascua_graph::ValueId;
use ascua_graph::ops::{MatMul, Scaled};

use super::TensorScales;
use crate::builder::{GraphBuilder, LowRankPair};
use crate::error::ModelError;

/// `NAME.weight [columns, rows]`, `NAME.bias`, `NAME.scale`.
pub struct Linear {
    product: MatMul,
    adapters: Vec<LowRankPair>,
}

impl Linear {
    /// Takes the tensors of `name`.
    ///
    /// # Errors
    /// The weight is missing or has another shape.
    pub fn new(
        builder: &mut GraphBuilder<'_>,
        name: &str,
        (columns, rows): (usize, usize),
        scales: TensorScales,
    ) -> Result<Linear, ModelError> {
        Linear::sharing(builder, name, name, (columns, rows), scales)
    }

    /// Takes the weight of `matrix`, the rest of `name`; so do adapters.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn sharing(
        builder: &mut GraphBuilder<'_>,
        matrix: &str,
        name: &str,
        (columns, rows): (usize, usize),
        scales: TensorScales,
    ) -> Result<Linear, ModelError> {
        let weight = builder.required(&format!("{matrix}.weight"), &[columns, rows])?;
        let bias = builder.optional(&format!("{name}.bias"), &[rows])?;
        let scale_name = format!("{name}.scale");
        let scale = match scales {
            TensorScales::Apply | TensorScales::ApplyToSum => builder.optional(&scale_name, &[1])?,
            TensorScales::Ignore => {
                builder.ignore(&scale_name);
                None
            }
        };
        // The scale of the activations is for hardware that quantises them to 4 bits; none of ours does.
        builder.ignore(&format!("{name}.input_scale"));
        let scaled = if scales == TensorScales::ApplyToSum { Scaled::ProductAndBias } else { Scaled::Product };
        let adapters = builder.low_rank(&format!("{name}.weight"), &[columns, rows])?;
        Ok(Linear { product: MatMul { weight, bias, scale, scaled }, adapters })
    }

    /// The bare product with `NAME.weight`.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn bare(
        builder: &mut GraphBuilder<'_>,
        name: &str,
        (columns, rows): (usize, usize),
    ) -> Result<Linear, ModelError> {
        let name = format!("{name}.weight");
        let weight = builder.required(&name, &[columns, rows])?;
        Ok(Linear { product: MatMul::new(weight), adapters: builder.low_rank(&name, &[columns, rows])? })
    }

    /// Records the product.
    ///
    /// # Errors
    /// The input has another width.
    pub fn apply(&self, builder: &mut GraphBuilder<'_>, x: ValueId) -> Result<ValueId, ModelError> {
        let mut sum = builder.record(self.product.clone(), &[x])?;
        for pair in &self.adapters {
            sum = pair.add_product(builder, sum, x)?;
        }
        Ok(sum)
    }
}
