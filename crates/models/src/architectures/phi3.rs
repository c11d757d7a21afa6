//! Phi-3 and Phi-4-mini: stacked products, LongRoPE factors.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Computed, Config, ConfigError, Family, Keys, LLAMA_NAMES, Names};

pub(super) struct Phi3;

impl Architecture for Phi3 {
    fn names(&self) -> &'static [&'static str] {
        &["phi3"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let mut rope = c.rope(RopeStyle::Neox);
        rope.factors = c.rope_factors(builder);
        // Its sliding window is not applied: the published files describe it wrongly.
        Ok(LayerSpec::pre_norm(
            Attention::grouped_query(c, index).rope(rope),
            FeedForward::swiglu(c, index).ignore_scales(),
        ))
    }

    fn family(&self) -> &'static dyn Family {
        &Phi3
    }
}

impl Family for Phi3 {
    fn classes(&self) -> &'static [&'static str] {
        &["Phi3ForCausalLM"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "phi3"
    }

    fn names(&self) -> &'static [&'static Names] {
        const STACKED: &Names = &[
            ("model.layers.*.self_attn.qkv_proj", "blk.*.attn_qkv"),
            ("model.layers.*.mlp.gate_up_proj", "blk.*.ffn_up"),
        ];
        &[LLAMA_NAMES, STACKED]
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[("rope_theta", "10000.0"), ("original_max_position_embeddings", "4096")]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_act", "silu")?;
        let rope = config.rope()?;
        let (context, original) = contexts(config)?;
        keys.unsigned("context_length", context)?;
        keys.unsigned("rope.scaling.original_context_length", original)?;
        keys.unsigned("embedding_length", config.width()?)?;
        keys.unsigned("feed_forward_length", config.required(&["intermediate_size"])?)?;
        keys.unsigned("block_count", config.required(&["num_hidden_layers"])?)?;
        keys.unsigned("attention.head_count", config.heads()?)?;
        keys.unsigned("attention.head_count_kv", config.kv_heads()?)?;
        keys.float("attention.layer_norm_rms_epsilon", config.float(&["rms_norm_eps"])?.unwrap_or(1e-5));
        keys.unsigned("rope.dimension_count", rotary_size(config)?)?;
        keys.float("rope.freq_base", rope.base.unwrap_or(10_000.0));
        // Zero tells Phi-4 from the others.
        keys.unsigned("attention.sliding_window", config.unsigned(&["sliding_window"])?.unwrap_or(0))?;
        if rope.floats("long_factor")?.is_some() {
            let scale = context as f64 / original.max(1) as f64;
            let factor = match rope.kind() {
                _ if scale <= 1.0 => 1.0,
                Some("yarn") => 0.1 * scale.ln() + 1.0,
                _ => (1.0 + scale.ln() / (original as f64).ln()).sqrt(),
            };
            keys.float("rope.scaling.attn_factor", factor);
        }
        Ok(())
    }

    fn computed(&self, config: &Config) -> Result<Vec<Computed>, ConfigError> {
        let rope = config.rope()?;
        let mut tensors = Vec::new();
        for (field, target) in
            [("long_factor", "rope_factors_long.weight"), ("short_factor", "rope_factors_short.weight")]
        {
            let Some(values) = rope.floats(field)? else { continue };
            let wanted = rotary_size(config)? / 2;
            if values.len() as u64 != wanted {
                return Err(ConfigError::Field {
                    name: field.into(),
                    found: format!("a list of {}", values.len()),
                    wanted: format!("{wanted} numbers, half of what is rotated"),
                });
            }
            tensors.push(Computed { target: target.into(), values });
        }
        Ok(tensors)
    }
}

/// The context length, and that before it was stretched.
fn contexts(config: &Config) -> Result<(u64, u64), ConfigError> {
    let context = config.required(&["max_position_embeddings", "n_positions"])?;
    let original = config.rope()?.float("original_max_position_embeddings")?;
    Ok((context, original.map_or(context, |original| original as u64)))
}

fn rotary_size(config: &Config) -> Result<u64, ConfigError> {
    let share = config.rope()?.float("partial_rotary_factor")?.unwrap_or(1.0);
    Ok(((share * config.width()? as f64) as u64).checked_div(config.heads()?).unwrap_or(0))
}
