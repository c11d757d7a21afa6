//! What the name of a tensor says: its part in the model, its layer, and whether it is one to be quantised.
//!
//! The names are facts of llama.cpp (`llama-quant.cpp`).

use ascua_gguf::TensorInfo;

/// The part of a tensor in the model, as far as the choice of types cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    TokenEmbedding,
    Query,
    Key,
    Value,
    QueryKeyValue,
    KeyValueB,
    AttentionOutput,
    FeedForwardUp,
    FeedForwardGate,
    FeedForwardDown,
    Output,
    Other,
}

/// Parts by what the name holds; the first that fits.
const PARTS: [(&str, Part); 9] = [
    ("attn_qkv.weight", Part::QueryKeyValue),
    ("attn_kv_b.weight", Part::KeyValueB),
    ("attn_v.weight", Part::Value),
    ("attn_k.weight", Part::Key),
    ("attn_q.weight", Part::Query),
    ("attn_output.weight", Part::AttentionOutput),
    ("ffn_up", Part::FeedForwardUp),
    ("ffn_gate", Part::FeedForwardGate),
    ("ffn_down", Part::FeedForwardDown),
];

impl Part {
    pub(crate) fn of(name: &str) -> Part {
        match name {
            "output.weight" => Part::Output,
            "token_embd.weight" | "per_layer_token_embd.weight" => Part::TokenEmbedding,
            _ => PARTS.iter().find(|(held, _)| name.contains(held)).map_or(Part::Other, |&(_, part)| part),
        }
    }

    /// Whether it makes values of attention, which suffer most.
    pub(crate) fn makes_values(self) -> bool {
        matches!(self, Part::Value | Part::QueryKeyValue | Part::KeyValueB)
    }
}

/// The layer in `blk.LAYER.…`.
pub(crate) fn layer(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("blk.")?;
    rest[..rest.find('.')?].parse().ok()
}

/// Names of tensors that stay as they are: small ones, and such as are no factors of a product.
const KEPT: [&str; 36] = [
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
    "position_embd.weight",
];

/// As [`KEPT`], in models of GLM 5's kind.
pub(crate) const KEPT_IN_GLM5: [&str; 14] = [
    "hc_",
    "indexer.attn_q_b",
    "indexer.attn_k",
    "indexer.proj",
    "indexer_compressor_gate",
    "indexer_compressor_ape",
    "ssm_f_a.weight",
    "ssm_f_b.weight",
    "ssm_g_a.weight",
    "ssm_g_b.weight",
    "ssm_beta.weight",
    "attn_kv_a_mqa.weight",
    "attn_k_b.weight",
    "attn_v_b.weight",
];

/// Whether a tensor is one to be quantised.
pub(crate) fn is_quantised(tensor: &TensorInfo, architecture: &str) -> bool {
    let name = tensor.name.as_str();
    let dimensions = tensor.shape.iter().rposition(|&size| size > 1).map_or(1, |last| last + 1);
    let kept_here: &[&str] = if architecture == "glm5-next" { &KEPT_IN_GLM5 } else { &[] };
    dimensions >= 2
        && name.ends_with("weight")
        && name != "token_types.weight"
        && !KEPT.iter().chain(kept_here).any(|kept| name.contains(kept))
}
