//! Gemma 3: norms around every block, five windowed layers to one that sees everything, scaled embeddings.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Change, Config, ConfigError, Family, Keys, LLAMA_NAMES, Names};

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

    fn family(&self) -> &'static dyn Family {
        &Gemma3
    }
}

impl Family for Gemma3 {
    fn classes(&self) -> &'static [&'static str] {
        &["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "gemma3"
    }

    fn names(&self) -> &'static [&'static Names] {
        const NORMS: &Names = &[
            ("model.layers.*.self_attn.q_norm", "blk.*.attn_q_norm"),
            ("model.layers.*.self_attn.k_norm", "blk.*.attn_k_norm"),
            ("model.layers.*.post_attention_layernorm", "blk.*.post_attention_norm"),
            ("model.layers.*.pre_feedforward_layernorm", "blk.*.ffn_norm"),
            ("model.layers.*.post_feedforward_layernorm", "blk.*.post_ffw_norm"),
        ];
        &[NORMS, LLAMA_NAMES]
    }

    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("num_attention_heads", "8"),
            ("num_key_value_heads", "4"),
            ("head_dim", "256"),
            ("rms_norm_eps", "1e-6"),
            ("max_position_embeddings", "131072"),
            ("sliding_window", "4096"),
            ("rope_theta", "1000000.0"),
            ("rope_local_base_freq", "10000.0"),
        ]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_activation", "gelu_pytorch_tanh")?;
        config.only("attn_logit_softcapping", serde_json::Value::Null)?;
        config.only("sliding_window_pattern", GLOBAL_PERIOD)?;
        let layers = config.required(&["num_hidden_layers"])? as usize;
        check_layers(config, layers)?;
        let size = config.head_size()? as f64;
        let scaled_by = config.float(&["query_pre_attn_scalar"])?.unwrap_or(size);
        let wanted = if layers == LAYERS_27B { (config.width()? / config.heads()?.max(1)) as f64 } else { size };
        if scaled_by != wanted {
            return Err(ConfigError::Field {
                name: "query_pre_attn_scalar".into(),
                found: scaled_by.to_string(),
                wanted: format!("{wanted}: no other is known"),
            });
        }
        keys.usual(config)?;
        if let Some(limit) = config.float(&["final_logit_softcapping"])? {
            keys.float("final_logit_softcapping", limit);
        }
        keys.optional("attention.sliding_window", config.unsigned(&["sliding_window"])?)
    }

    fn change(&self, _config: &Config, target: &str) -> Change {
        if target.ends_with("norm.weight") { Change::AddOne } else { Change::Keep }
    }

    fn is_tied_by_default(&self) -> bool {
        true
    }

    fn drops_surplus_tokens(&self) -> bool {
        true
    }
}

/// Where the layers are listed, they must follow the period.
fn check_layers(config: &Config, layers: usize) -> Result<(), ConfigError> {
    let Some(types) = config.get("layer_types").and_then(|types| types.as_array()) else { return Ok(()) };
    let wanted = |layer: usize| {
        let is_global = layer % GLOBAL_PERIOD == GLOBAL_PERIOD - 1;
        if is_global { "full_attention" } else { "sliding_attention" }
    };
    match types.iter().enumerate().find(|&(layer, found)| *found != wanted(layer)) {
        None if types.len() == layers => Ok(()),
        found => Err(ConfigError::Field {
            name: "layer_types".into(),
            found: found.map_or(format!("a list of {}", types.len()), |(layer, found)| format!("{found} at {layer}")),
            wanted: format!("{layers} layers, every sixth with full attention"),
        }),
    }
}
