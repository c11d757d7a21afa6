//! Llama 1–3 and all that share its shape: Mistral, Mixtral, Yi, Chinese-LLaMA, SmolLM, Vicuna …

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward, MixtureOfExperts};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{
    Computed, Config, ConfigError, EXPERT_NAMES, Family, Keys, LLAMA_NAMES, Names, llama3_factors,
};

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

    fn family(&self) -> &'static dyn Family {
        &Llama
    }
}

impl Family for Llama {
    fn classes(&self) -> &'static [&'static str] {
        &["LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM", "MixtralForCausalLM", "LlamaModel"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "llama"
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[("rope_theta", "10000.0")]
    }

    fn names(&self) -> &'static [&'static Names] {
        const MIXTRAL: &Names = &[
            ("model.layers.*.block_sparse_moe.gate", "blk.*.ffn_gate_inp"),
            ("model.layers.*.block_sparse_moe.experts.*.w1", "blk.*.ffn_gate_exps"),
            ("model.layers.*.block_sparse_moe.experts.*.w2", "blk.*.ffn_down_exps"),
            ("model.layers.*.block_sparse_moe.experts.*.w3", "blk.*.ffn_up_exps"),
        ];
        &[LLAMA_NAMES, MIXTRAL, EXPERT_NAMES]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_act", "silu")?;
        keys.usual(config)?;
        keys.unsigned("vocab_size", config.required(&["vocab_size"])?)?;
        let size = config.head_size()?;
        keys.unsigned("rope.dimension_count", size)?;
        keys.unsigned("attention.key_length", size)?;
        keys.unsigned("attention.value_length", size)
    }

    fn paired_heads(&self, config: &Config, target: &str) -> Result<Option<u64>, ConfigError> {
        if target.contains(".attn_q.") {
            return config.heads().map(Some);
        }
        if target.contains(".attn_k.") { config.kv_heads().map(Some) } else { Ok(None) }
    }

    fn computed(&self, config: &Config) -> Result<Vec<Computed>, ConfigError> {
        let factors = llama3_factors(config)?;
        Ok(factors.into_iter().map(|values| Computed { target: "rope_freqs.weight".into(), values }).collect())
    }
}
