//! Qwen1.5-MoE and Qwen2-MoE: routed experts that keep their probabilities, and a gated shared expert.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward, MixtureOfExperts};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Config, ConfigError, EXPERT_NAMES, Family, Keys, LLAMA_NAMES, Names};

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

    fn family(&self) -> &'static dyn Family {
        &Qwen2Moe
    }
}

impl Family for Qwen2Moe {
    fn classes(&self) -> &'static [&'static str] {
        &["Qwen2MoeForCausalLM"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "qwen2moe"
    }

    fn names(&self) -> &'static [&'static Names] {
        const SHARED: &Names = &[
            ("model.layers.*.mlp.shared_expert.gate_proj", "blk.*.ffn_gate_shexp"),
            ("model.layers.*.mlp.shared_expert.up_proj", "blk.*.ffn_up_shexp"),
            ("model.layers.*.mlp.shared_expert.down_proj", "blk.*.ffn_down_shexp"),
            ("model.layers.*.mlp.shared_expert_gate", "blk.*.ffn_gate_inp_shexp"),
        ];
        &[LLAMA_NAMES, SHARED, EXPERT_NAMES]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_act", "silu")?;
        config.only("use_sliding_window", false)?;
        config.only("norm_topk_prob", false)?;
        keys.usual(config)?;
        keys.optional("expert_feed_forward_length", config.unsigned(&["moe_intermediate_size"])?)?;
        let shared = config.unsigned(&["shared_expert_intermediate_size"])?;
        keys.optional("expert_shared_feed_forward_length", shared)
    }
}
