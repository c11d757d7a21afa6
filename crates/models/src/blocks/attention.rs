//! Grouped-query attention, from the normed residual to the output projection.

use ascua_graph::ops::{self, Rope, SelectOutputs, Slice};
use ascua_graph::{CachedValues, RopeParameters, StateSpec, ValueId};

use super::{Linear, TensorScales, rms_norm};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::error::ModelError;

/// An attention block.
#[derive(Clone, Debug)]
pub struct Attention {
    heads: usize,
    kv_heads: usize,
    key_size: usize,
    value_size: usize,
    scale: f32,
    rope: Option<RopeParameters>,
    window: Option<usize>,
    softcap: Option<f32>,
    alibi_max_bias: Option<f32>,
    query_key_norm: QueryKeyNorm,
}

/// Whether queries and keys are normalised, head by head, before the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueryKeyNorm {
    Without,
    PerHead,
}

/// Which rows attend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// All.
    OfTokens,
    /// Those whose logits are wanted: nothing reads what the others would find.
    OfOutputs,
}

impl Queries {
    /// Those rows of a value with one for each token.
    ///
    /// # Errors
    /// The value has other rows.
    pub fn of(self, builder: &mut GraphBuilder<'_>, value: ValueId) -> Result<ValueId, ModelError> {
        match self {
            Queries::OfTokens => Ok(value),
            Queries::OfOutputs => builder.record(SelectOutputs, &[value]),
        }
    }
}

impl Attention {
    /// Queries share the keys and values of their group; no positions yet.
    pub fn grouped_query(config: &ModelConfig, layer: usize) -> Attention {
        Attention {
            heads: config.heads[layer],
            kv_heads: config.kv_heads[layer],
            key_size: config.key_size,
            value_size: config.value_size,
            scale: config.attention_scale.unwrap_or(1.0 / (config.key_size as f32).sqrt()),
            rope: None,
            window: None,
            softcap: config.attention_softcap,
            alibi_max_bias: None,
            query_key_norm: QueryKeyNorm::Without,
        }
    }

    /// Rotary positions.
    pub fn rope(self, parameters: RopeParameters) -> Attention {
        Attention { rope: Some(parameters), ..self }
    }

    /// Looks back `window` positions only.
    pub fn window(self, window: Option<usize>) -> Attention {
        Attention { window, ..self }
    }

    /// Linear biases instead of rotary positions.
    pub fn alibi(self, max_bias: f32) -> Attention {
        Attention { alibi_max_bias: Some(max_bias), ..self }
    }

    /// Another factor on the dot products.
    pub fn scaled(self, scale: f32) -> Attention {
        Attention { scale, ..self }
    }

    /// RMS norm of each query and key head.
    pub fn query_key_norm(self) -> Attention {
        Attention { query_key_norm: QueryKeyNorm::PerHead, ..self }
    }

    /// Records the block for `blk.LAYER`; its result has the rows of `queries`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn record(
        &self,
        builder: &mut GraphBuilder<'_>,
        config: &ModelConfig,
        prefix: &str,
        x: ValueId,
        queries: Queries,
    ) -> Result<ValueId, ModelError> {
        let (q, k, v) = self.query_key_value(builder, config, prefix, x, queries)?;
        let q = self.positioned(builder, config, &format!("{prefix}.attn_q_norm"), self.heads, q)?;
        let k = self.positioned(builder, config, &format!("{prefix}.attn_k_norm"), self.kv_heads, k)?;
        let state = builder.state(StateSpec::KeyValue {
            kv_heads: self.kv_heads,
            key_size: self.key_size,
            values: CachedValues::Own { size: self.value_size },
            window: self.window,
        });
        let attention = ops::Attention {
            state,
            heads: self.heads,
            scale: self.scale,
            softcap: self.softcap,
            alibi_max_bias: self.alibi_max_bias,
        };
        let mixed = builder.record(attention, &[q, k, v])?;
        let output = Linear::new(
            builder,
            &format!("{prefix}.attn_output"),
            (self.heads * self.value_size, config.embedding_length),
            TensorScales::Apply,
        )?;
        output.apply(builder, mixed)
    }

    /// Three products, or one with the three stacked.
    fn query_key_value(
        &self,
        builder: &mut GraphBuilder<'_>,
        config: &ModelConfig,
        prefix: &str,
        x: ValueId,
        queries: Queries,
    ) -> Result<(ValueId, ValueId, ValueId), ModelError> {
        let columns = config.embedding_length;
        let widths = [self.heads * self.key_size, self.kv_heads * self.key_size, self.kv_heads * self.value_size];
        let fused = format!("{prefix}.attn_qkv");
        if builder.has(&format!("{fused}.weight")) {
            let fused = Linear::new(builder, &fused, (columns, widths.iter().sum()), TensorScales::Apply)?;
            let all = fused.apply(builder, x)?;
            let mut start = 0;
            let mut part = |width: usize| {
                start += width;
                builder.record(Slice { start: start - width, width }, &[all])
            };
            let (q, k, v) = (part(widths[0])?, part(widths[1])?, part(widths[2])?);
            return Ok((queries.of(builder, q)?, k, v));
        }
        let part = |builder: &mut GraphBuilder<'_>, name: &str, width: usize, x: ValueId| {
            let linear = Linear::new(builder, &format!("{prefix}.{name}"), (columns, width), TensorScales::Apply)?;
            linear.apply(builder, x)
        };
        let (k, v) = (part(builder, "attn_k", widths[1], x)?, part(builder, "attn_v", widths[2], x)?);
        let attending = queries.of(builder, x)?;
        Ok((part(builder, "attn_q", widths[0], attending)?, k, v))
    }

    /// Norm and rotation of queries or keys.
    fn positioned(
        &self,
        builder: &mut GraphBuilder<'_>,
        config: &ModelConfig,
        norm: &str,
        heads: usize,
        mut x: ValueId,
    ) -> Result<ValueId, ModelError> {
        if self.query_key_norm == QueryKeyNorm::PerHead {
            x = rms_norm(builder, config, norm, (heads * self.key_size, heads), x)?;
        }
        if let Some(parameters) = &self.rope {
            x = builder.record(Rope { parameters: parameters.clone(), heads }, &[x])?;
        }
        Ok(x)
    }
}
