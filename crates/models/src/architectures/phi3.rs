//! Phi-3 and Phi-4-mini: stacked products, LongRoPE factors.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

pub(super) struct Phi3;

impl Architecture for Phi3 {
    fn names(&self) -> &'static [&'static str] {
        &["phi3"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let mut rope = c.rope(RopeStyle::Neox);
        rope.factors = c.rope_factors(builder);
        // Its sliding window is not applied: the published files describe it wrongly.
        Ok(LayerSpec::pre_norm(
            Attention::grouped_query(c, index).rope(rope),
            FeedForward::swiglu(c, index).ignore_scales(),
        ))
    }
}
