//! Qwen1.5-MoE and Qwen2-MoE: routed experts that keep their probabilities, and a gated shared expert.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward, MixtureOfExperts};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

pub(super) struct Qwen2Moe;

impl Architecture for Qwen2Moe {
    fn names(&self) -> &'static [&'static str] {
        &["qwen2moe"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let shared = c.shared_feed_forward_length.unwrap_or(c.feed_forward_length[index]);
        let mixture =
            MixtureOfExperts::softmax(c, index).keep_probabilities().gated_shared_expert(shared).ignore_scales();
        Ok(LayerSpec::pre_norm(
            Attention::grouped_query(c, index).rope(c.rope(RopeStyle::Neox)),
            FeedForward::Mixture(mixture),
        ))
    }
}
