//! Names of tensors in checkpoints, and what they are called in the file.
//!
//! In a list a `*` stands for a number, in order: the first in a name is the layer, the second the expert. Several names of
//! the file with `|` between them share the rows of one tensor evenly.

/// Pairs of names: the checkpoint's, the file's; both without `.weight`.
pub type Names = [(&'static str, &'static str)];

/// The names of Llama's checkpoints, which most later families keep.
pub const LLAMA_NAMES: &Names = &[
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("model.layers.*.input_layernorm", "blk.*.attn_norm"),
    ("model.layers.*.self_attn.q_proj", "blk.*.attn_q"),
    ("model.layers.*.self_attn.k_proj", "blk.*.attn_k"),
    ("model.layers.*.self_attn.v_proj", "blk.*.attn_v"),
    ("model.layers.*.self_attn.o_proj", "blk.*.attn_output"),
    ("model.layers.*.post_attention_layernorm", "blk.*.ffn_norm"),
    ("model.layers.*.mlp.gate_proj", "blk.*.ffn_gate"),
    ("model.layers.*.mlp.up_proj", "blk.*.ffn_up"),
    ("model.layers.*.mlp.down_proj", "blk.*.ffn_down"),
];

/// The names of experts and their router; experts each apart, or all stacked with gate and up together.
pub const EXPERT_NAMES: &Names = &[
    ("model.layers.*.mlp.gate", "blk.*.ffn_gate_inp"),
    ("model.layers.*.mlp.experts.*.gate_proj", "blk.*.ffn_gate_exps"),
    ("model.layers.*.mlp.experts.*.up_proj", "blk.*.ffn_up_exps"),
    ("model.layers.*.mlp.experts.*.down_proj", "blk.*.ffn_down_exps"),
    ("model.layers.*.mlp.experts.gate_up_proj", "blk.*.ffn_gate_exps|blk.*.ffn_up_exps"),
    ("model.layers.*.mlp.experts.down_proj", "blk.*.ffn_down_exps"),
];

/// A name that was found.
pub(super) struct Found {
    /// With `.weight` or `.bias`.
    pub targets: Vec<String>,
    pub expert: Option<usize>,
}

/// Looks a name up in lists, the first first; `class` is the model's.
pub(super) fn find(lists: &[&Names], name: &str, class: &str) -> Option<Found> {
    // The text part of a model of several senses, and a model without its head.
    let mut name = name.replace("language_model.", "");
    if class.ends_with("Model") && !class.ends_with("LMHeadModel") && !name.starts_with("model.") {
        name = format!("model.{name}");
    }
    let (stem, suffix) = match name.rsplit_once('.') {
        Some((stem, suffix @ ("weight" | "bias"))) => (stem, suffix),
        // Experts that are stacked already.
        _ => (name.as_str(), "weight"),
    };
    let mut numbers = Vec::new();
    let parts = stem.split('.').map(|part| match part.parse::<usize>() {
        Ok(number) if part.bytes().all(|byte| byte.is_ascii_digit()) => {
            numbers.push(number);
            "*"
        }
        _ => part,
    });
    let pattern = parts.collect::<Vec<_>>().join(".");
    let (_, targets) = lists.iter().flat_map(|list| list.iter()).find(|(known, _)| *known == pattern)?;
    let layer = numbers.first().map_or(String::new(), usize::to_string);
    let targets = targets.split('|').map(|target| format!("{}.{suffix}", target.replacen('*', &layer, 1))).collect();
    Some(Found { targets, expert: numbers.get(1).copied() })
}
