//! Gemma 3: norms around every block, five windowed layers to one that sees everything, scaled embeddings.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

/// Every sixth layer sees the whole history.
const GLOBAL_PERIOD: usize = 6;
/// Layers of the 27B model, whose queries are scaled by another width.
const LAYERS_27B: usize = 62;

pub(super) struct Gemma3;

impl Architecture for Gemma3 {
    fn names(&self) -> &'static [&'static str] {
        &["gemma3"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let mut rope = c.rope(RopeStyle::Neox);
        let sliding = c.is_sliding(index, GLOBAL_PERIOD);
        if sliding {
            // Windowed layers are never stretched.
            rope.base = c.rope_base_sliding;
            rope.frequency_scale = 1.0;
        }
        let head = if c.layers == LAYERS_27B { c.embedding_length / c.heads[0].max(1) } else { c.key_size };
        let attention = Attention::grouped_query(c, index)
            .query_key_norm()
            .rope(rope)
            .scaled(1.0 / (head as f32).sqrt())
            .window(if sliding { c.sliding_window } else { None });
        Ok(LayerSpec::pre_and_post_norm(attention, FeedForward::geglu(c, index).ignore_scales()))
    }

    fn embedding_scale(&self, config: &ModelConfig) -> Option<f32> {
        Some((config.embedding_length as f32).sqrt())
    }
}
