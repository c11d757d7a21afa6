//! Llama 1–3 and all that share its shape: Mistral, Mixtral, Yi, Chinese-LLaMA, SmolLM, Vicuna …

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward, MixtureOfExperts};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

pub(super) struct Llama;

impl Architecture for Llama {
    fn names(&self) -> &'static [&'static str] {
        &["llama"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let mut rope = c.rope(RopeStyle::Normal);
        rope.factors = c.rope_factors(builder); // Llama 3.1 and later
        let feed_forward = if c.experts == 0 {
            FeedForward::swiglu(c, index)
        } else {
            FeedForward::Mixture(MixtureOfExperts::softmax(c, index))
        };
        Ok(LayerSpec::pre_norm(Attention::grouped_query(c, index).rope(rope), feed_forward))
    }
}
