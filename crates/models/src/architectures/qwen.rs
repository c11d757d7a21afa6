//! Qwen (first generation): stacked query-key-value product, half-width feed-forward blocks.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Config, ConfigError, Family, Keys, Names};

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

    fn family(&self) -> &'static dyn Family {
        &Qwen
    }
}

impl Family for Qwen {
    fn classes(&self) -> &'static [&'static str] {
        &["QWenLMHeadModel"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "qwen"
    }

    fn names(&self) -> &'static [&'static Names] {
        // `w2` goes through the activation.
        &[&[
            ("transformer.wte", "token_embd"),
            ("transformer.ln_f", "output_norm"),
            ("lm_head", "output"),
            ("transformer.h.*.ln_1", "blk.*.attn_norm"),
            ("transformer.h.*.attn.c_attn", "blk.*.attn_qkv"),
            ("transformer.h.*.attn.c_proj", "blk.*.attn_output"),
            ("transformer.h.*.ln_2", "blk.*.ffn_norm"),
            ("transformer.h.*.mlp.w1", "blk.*.ffn_up"),
            ("transformer.h.*.mlp.w2", "blk.*.ffn_gate"),
            ("transformer.h.*.mlp.c_proj", "blk.*.ffn_down"),
        ]]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        keys.usual(config)?;
        keys.unsigned("rope.dimension_count", config.head_size()?)?;
        // It calls the epsilon of its RMS norms so.
        if let Some(epsilon) = config.float(&["layer_norm_epsilon"])? {
            keys.float("attention.layer_norm_rms_epsilon", epsilon);
        }
        Ok(())
    }
}
