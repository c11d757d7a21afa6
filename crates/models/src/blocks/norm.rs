//! RMS normalisation with a named weight.

use ascua_graph::ValueId;
use ascua_graph::ops::RmsNorm;

use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::error::ModelError;

/// `NAME.weight [width / groups]`, applied to each of `groups` parts of a row of `width`.
///
/// # Errors
/// The weight is missing or has another shape.
pub fn rms_norm(
    builder: &mut GraphBuilder<'_>,
    config: &ModelConfig,
    name: &str,
    (width, groups): (usize, usize),
    x: ValueId,
) -> Result<ValueId, ModelError> {
    let weight = builder.required(&format!("{name}.weight"), &[width / groups])?;
    builder.record(RmsNorm { weight: Some(weight), epsilon: config.rms_epsilon, groups }, &[x])
}
