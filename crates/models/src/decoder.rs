//! The decoder: embedding, layers, final norm, logits. One loop for every architecture.

use ascua_graph::ops::{Add, Embedding, Scale, Softcap};
use ascua_graph::{Graph, ValueId};

use crate::architectures::Architecture;
use crate::blocks::{Attention, FeedForward, Linear, Queries, TensorScales, rms_norm};
use crate::builder::{GraphBuilder, TensorCatalogue};
use crate::config::ModelConfig;
use crate::error::ModelError;

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerSpec {
    /// Mixes tokens.
    pub attention: Attention,
    /// Mixes channels.
    pub feed_forward: FeedForward,
    /// Norms after the blocks as well as before.
    pub norms: Norms,
}

/// Where a layer normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before each block.
    Pre,
    /// Before and after each block.
    PreAndPost,
}

impl LayerSpec {
    /// The usual order: norm, attention, add; norm, feed-forward, add.
    pub fn pre_norm(attention: Attention, feed_forward: FeedForward) -> LayerSpec {
        LayerSpec { attention, feed_forward, norms: Norms::Pre }
    }

    /// A norm also on each block's answer, before it is added.
    pub fn pre_and_post_norm(attention: Attention, feed_forward: FeedForward) -> LayerSpec {
        LayerSpec { attention, feed_forward, norms: Norms::PreAndPost }
    }
}

/// Records a whole model; its only output is the logits, `[outputs, vocabulary]`.
///
/// # Errors
/// A tensor is missing, surplus, or has another shape.
pub fn record(
    architecture: &dyn Architecture,
    config: &ModelConfig,
    catalogue: &dyn TensorCatalogue,
) -> Result<Graph, ModelError> {
    let mut builder = GraphBuilder::new(catalogue);
    let width = config.embedding_length;
    let table = builder.required("token_embd.weight", &[width, config.vocabulary])?;
    let mut x = builder.record(Embedding { weight: table }, &[])?; // [tokens, width]
    for pair in builder.low_rank_table("token_embd.weight", (width, config.vocabulary))? {
        x = pair.add_embedding(&mut builder, x)?;
    }
    if let Some(factor) = architecture.embedding_scale(config) {
        x = builder.record(Scale { factor }, &[x])?;
    }
    for index in 0..config.layers {
        let layer = architecture.layer(config, index, &mut builder)?;
        x = record_layer(&mut builder, config, &layer, index, x)?;
    }
    let x = rms_norm(&mut builder, config, "output_norm", (width, 1), x)?; // [outputs, width]
    // Without its own matrix the output shares the embedding's.
    let matrix = if builder.has("output.weight") { "output" } else { "token_embd" };
    let output = Linear::sharing(&mut builder, matrix, "output", (width, config.vocabulary), TensorScales::Apply)?;
    let logits = output.apply(&mut builder, x)?;
    let logits = match config.final_softcap {
        Some(limit) => builder.record(Softcap { limit }, &[logits])?,
        None => logits,
    };
    for name in architecture.unused_tensors() {
        builder.ignore(name);
    }
    builder.finish(logits, &config.architecture)
}

/// One layer; of the rows whose logits are not wanted the last one needs only keys and values.
fn record_layer(
    builder: &mut GraphBuilder<'_>,
    config: &ModelConfig,
    layer: &LayerSpec,
    index: usize,
    residual: ValueId,
) -> Result<ValueId, ModelError> {
    let width = (config.embedding_length, 1);
    let prefix = format!("blk.{index}");
    let normed = rms_norm(builder, config, &format!("{prefix}.attn_norm"), width, residual)?;
    let queries = if index + 1 == config.layers { Queries::OfOutputs } else { Queries::OfTokens };
    let mut mixed = layer.attention.record(builder, config, &prefix, normed, queries)?;
    let residual = queries.of(builder, residual)?;
    if layer.norms == Norms::PreAndPost {
        mixed = rms_norm(builder, config, &format!("{prefix}.post_attention_norm"), width, mixed)?;
    }
    let residual = builder.record(Add, &[mixed, residual])?;
    let normed = rms_norm(builder, config, &format!("{prefix}.ffn_norm"), width, residual)?;
    let mut answer = layer.feed_forward.record(builder, config, &prefix, normed)?;
    if layer.norms == Norms::PreAndPost {
        answer = rms_norm(builder, config, &format!("{prefix}.post_ffw_norm"), width, answer)?;
    }
    builder.record(Add, &[answer, residual])
}
