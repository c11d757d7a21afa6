//! Qwen3, dense and mixture: normed queries and keys, no biases.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward, MixtureOfExperts};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

pub(super) struct Qwen3;

impl Architecture for Qwen3 {
    fn names(&self) -> &'static [&'static str] {
        &["qwen3", "qwen3moe"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let feed_forward = if c.experts == 0 {
            FeedForward::swiglu(c, index)
        } else {
            FeedForward::Mixture(MixtureOfExperts::softmax(c, index))
        };
        Ok(LayerSpec::pre_norm(
            Attention::grouped_query(c, index).query_key_norm().rope(c.rope(RopeStyle::Neox)),
            feed_forward,
        ))
    }

    fn unused_tensors(&self) -> &'static [&'static str] {
        &["cls.output.weight"] // the head of the reranking models
    }
}
