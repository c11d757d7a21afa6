//! Qwen (first generation): stacked query-key-value product, half-width feed-forward blocks.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

pub(super) struct Qwen;

impl Architecture for Qwen {
    fn names(&self) -> &'static [&'static str] {
        &["qwen"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        // Its configuration counts gate and up together.
        let width = c.feed_forward_length[index] / 2;
        Ok(LayerSpec::pre_norm(
            Attention::grouped_query(c, index).rope(c.rope(RopeStyle::Neox)),
            FeedForward::swiglu(c, index).with_width(width).ignore_scales(),
        ))
    }
}
