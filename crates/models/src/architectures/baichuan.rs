//! Baichuan 1 and 2: 7B (32 layers) has rotary positions, 13B (40 layers) has ALiBi; files do not say which.

use ascua_graph::RopeStyle;

use super::Architecture;
use crate::blocks::{Attention, FeedForward};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Change, Config, ConfigError, Family, Keys, LLAMA_NAMES, Names};

/// Layers of the 7B models.
const ROTARY_LAYERS: usize = 32;
/// Layers of the 13B models.
const ALIBI_LAYERS: usize = 40;
/// Largest ALiBi bias of the 13B models.
const MAX_BIAS: f32 = 8.0;
/// Tokens of Baichuan 2; the first has half as many.
const SECOND_VOCABULARY: u64 = 125_696;

pub(super) struct Baichuan;

impl Architecture for Baichuan {
    fn names(&self) -> &'static [&'static str] {
        &["baichuan"]
    }

    fn layer(&self, c: &ModelConfig, index: usize, _builder: &mut GraphBuilder<'_>) -> Result<LayerSpec, ModelError> {
        let attention = Attention::grouped_query(c, index);
        let attention = match c.layers {
            ROTARY_LAYERS => attention.rope(c.rope(RopeStyle::Normal)),
            ALIBI_LAYERS => attention.alibi(MAX_BIAS),
            _ => attention,
        };
        Ok(LayerSpec::pre_norm(attention, FeedForward::swiglu(c, index).ignore_scales()))
    }

    fn family(&self) -> &'static dyn Family {
        &Baichuan
    }
}

impl Family for Baichuan {
    fn classes(&self) -> &'static [&'static str] {
        &["BaichuanForCausalLM", "BaiChuanForCausalLM"]
    }

    fn architecture(&self, _config: &Config) -> &'static str {
        "baichuan"
    }

    fn names(&self) -> &'static [&'static Names] {
        const STACKED: &Names = &[("model.layers.*.self_attn.W_pack", "blk.*.attn_q|blk.*.attn_k|blk.*.attn_v")];
        &[LLAMA_NAMES, STACKED]
    }

    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        config.only("hidden_act", "silu")?;
        keys.usual(config)?;
        keys.set("tensor_data_layout", "Meta AI original pth");
        keys.unsigned("rope.dimension_count", config.head_size()?)
    }

    fn paired_heads(&self, config: &Config, target: &str) -> Result<Option<u64>, ConfigError> {
        let rotated = target.contains(".attn_q.") || target.contains(".attn_k.");
        if rotated { config.heads().map(Some) } else { Ok(None) }
    }

    fn change(&self, config: &Config, target: &str) -> Change {
        // The output of Baichuan 2 compares directions; its configuration tells it by this field or its vocabulary.
        let second = config.get("z_loss_weight").is_some()
            || config.get("vocab_size").is_some_and(|size| *size == SECOND_VOCABULARY);
        if second && target == "output.weight" { Change::UnitRows } else { Change::Keep }
    }
}
