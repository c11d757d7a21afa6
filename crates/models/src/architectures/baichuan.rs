//! Baichuan 1 and 2: 7B (32 layers) has rotary positions, 13B (40 layers) has ALiBi; files do not say which.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;

/// Layers of the 7B models.
const ROTARY_LAYERS: usize = 32;
/// Layers of the 13B models.
const ALIBI_LAYERS: usize = 40;
/// Largest ALiBi bias of the 13B models.
const MAX_BIAS: f32 = 8.0;

pub(super) struct Baichuan;

impl Architecture for Baichuan {
    fn names(&self) -> &'static [&'static str] {
        &["baichuan"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let attention = Attention::grouped_query(c, index);
        let attention = match c.layers {
            ROTARY_LAYERS => attention.rope(c.rope(RopeStyle::Neox)),
            ALIBI_LAYERS => attention.alibi(MAX_BIAS),
            _ => attention,
        };
        Ok(LayerSpec::pre_norm(attention, FeedForward::swiglu(c, index).ignore_scales()))
    }
}
