//! Qwen2 and Qwen2.5: Llama's layer with biases on queries, keys and values.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Config, ConfigError, Family, Keys, LLAMA_NAMES, Names};

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

    fn family(&self) -> &'static dyn Family {
        &Qwen2
    }
}

impl Family for Qwen2 {
    fn classes(&self) -> &'static [&'static str] {
        &["Qwen2ForCausalLM", "Qwen2Model"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "qwen2"
    }

    fn names(&self) -> &'static [&'static Names] {
        &[LLAMA_NAMES]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_act", "silu")?;
        config.only("use_sliding_window", false)?;
        keys.usual(config)
    }
}
