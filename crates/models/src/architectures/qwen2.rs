//! Qwen2 and Qwen2.5: Llama's layer with biases on queries, keys and values.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

pub(super) struct Qwen2;

impl Architecture for Qwen2 {
    fn names(&self) -> &'static [&'static str] {
        &["qwen2"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        Ok(LayerSpec::pre_norm(
            Attention::grouped_query(c, index).rope(c.rope(RopeStyle::Neox)),
            FeedForward::swiglu(c, index).ignore_scales(),
        ))
    }
}
