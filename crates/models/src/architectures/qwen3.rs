//! Qwen3, dense and mixture: normed queries and keys, no biases.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward, MixtureOfExperts};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Config, ConfigError, EXPERT_NAMES, Family, Keys, LLAMA_NAMES, Names};

/// The class of the mixtures.
const MIXTURE: &str = "Qwen3MoeForCausalLM";

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

    fn family(&self) -> &'static dyn Family {
        &Qwen3
    }
}

impl Family for Qwen3 {
    fn classes(&self) -> &'static [&'static str] {
        &["Qwen3ForCausalLM", "Qwen3Model", MIXTURE]
    }

    fn architecture(&self, config: &Config) -> &'static str {
        if config.class() == MIXTURE { "qwen3moe" } else { "qwen3" }
    }

    fn names(&self) -> &'static [&'static Names] {
        const NORMS: &Names = &[
            ("model.layers.*.self_attn.q_norm", "blk.*.attn_q_norm"),
            ("model.layers.*.self_attn.k_norm", "blk.*.attn_k_norm"),
        ];
        &[LLAMA_NAMES, NORMS, EXPERT_NAMES]
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[("head_dim", "128")]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_act", "silu")?;
        config.only("use_sliding_window", false)?;
        keys.usual(config)?;
        if config.class() == MIXTURE {
            // Where it is left out the class does not divide by the sum, as the architecture does.
            if config.boolean("norm_topk_prob")? != Some(true) {
                return Err(ConfigError::Field {
                    name: "norm_topk_prob".into(),
                    found: "false".into(),
                    wanted: "true: no other is known".into(),
                });
            }
            keys.optional("expert_feed_forward_length", config.unsigned(&["moe_intermediate_size"])?)?;
        }
        Ok(())
    }
}
