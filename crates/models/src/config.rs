//! The numbers that describe a model, read from its metadata.
//!
//! Keys with neutral values (0, empty) count as unset: some writers emit them. Invariant: every number that later sizes
//! memory is within the limits below, so products of a few of them do not overflow.

use ascua_gguf::Metadata;
use ascua_graph::RopeParameters;

use crate::error::ModelError;

/// Largest value accepted for a dimension; no published model comes near.
const MAX_DIMENSION: u64 = 1 << 24;
/// Largest number of layers.
const MAX_LAYERS: u64 = 4096;

/// How positions are stretched beyond the trained context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor.
    Linear,
    /// YaRN (Peng et al. 2023).
    Yarn,
    /// LongRoPE: factors for each frequency, long or short by the context in use.
    LongRope,
}

/// A model's hyperparameters.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Architecture name, as in the file.
    pub architecture: String,
    /// Transformer layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub embedding_length: usize,
    /// Width of the feed-forward block, by layer.
    pub feed_forward_length: Vec<usize>,
    /// Query heads, by layer.
    pub heads: Vec<usize>,
    /// Key and value heads, by layer.
    pub kv_heads: Vec<usize>,
    /// Elements of a key head.
    pub key_size: usize,
    /// Elements of a value head.
    pub value_size: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Context length the model was trained with.
    pub context_length: usize,
    /// Added to the mean of squares in RMS norms.
    pub rms_epsilon: f32,
    /// Factor on attention dot products; `None`: 1 / sqrt(key size).
    pub attention_scale: Option<f32>,
    /// Soft limit on attention scores.
    pub attention_softcap: Option<f32>,
    /// Soft limit on the logits.
    pub final_softcap: Option<f32>,
    /// Positions a windowed layer looks back.
    pub sliding_window: Option<usize>,
    /// Which layers are windowed, where the file lists them one by one.
    pub sliding_layers: Option<Vec<bool>>,
    /// Period of the pattern of windowed layers, where the file gives a number.
    pub sliding_period: Option<usize>,
    /// Rotated elements of a head.
    pub rotary_size: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Base of the rotary frequencies in windowed layers.
    pub rope_base_sliding: f32,
    /// Stretching.
    pub rope_scaling: RopeScaling,
    /// Stretching factor (1: none).
    pub rope_factor: f32,
    /// Context length before stretching.
    pub rope_original_context: usize,
    /// Factor on cosines and sines given in the file.
    pub rope_attention_factor: Option<f32>,
    /// YaRN: factor on the logarithm of the attention magnitude.
    pub rope_yarn_log_multiplier: f32,
    /// YaRN: first and last rotation of the blend.
    pub rope_yarn_betas: (f32, f32),
    /// Experts of a mixture (0: dense).
    pub experts: usize,
    /// Experts a token is routed to.
    pub experts_used: usize,
    /// Width of an expert.
    pub expert_feed_forward_length: Option<usize>,
    /// Width of the shared expert.
    pub shared_feed_forward_length: Option<usize>,
    /// Factor on the routing weights.
    pub expert_weights_scale: f32,
    /// Context length the model is opened for; decides between long and short LongRoPE factors.
    pub context_in_use: usize,
}

impl ModelConfig {
    /// Reads the metadata of a file whose embedding table has `vocabulary` rows.
    ///
    /// # Errors
    /// A key is missing, has the wrong type or an unusable value.
    pub fn read(metadata: &Metadata, vocabulary: usize) -> Result<ModelConfig, ModelError> {
        let architecture = metadata.architecture()?.to_owned();
        let keys = Keys { metadata, architecture: &architecture };
        let layers = keys.required("block_count", MAX_LAYERS)?;
        let embedding_length = keys.required("embedding_length", MAX_DIMENSION)?;
        let heads =
            keys.per_layer("attention.head_count", layers)?.ok_or_else(|| keys.missing("attention.head_count"))?;
        let kv_heads = keys.per_layer("attention.head_count_kv", layers)?.unwrap_or_else(|| heads.clone());
        let most_heads = heads.iter().copied().max().unwrap_or(0);
        let default_size = embedding_length.checked_div(most_heads).unwrap_or(0);
        let key_size = keys.optional("attention.key_length", MAX_DIMENSION)?.unwrap_or(default_size);
        let value_size = keys.optional("attention.value_length", MAX_DIMENSION)?.unwrap_or(default_size);
        let context_length = keys.optional("context_length", u64::from(u32::MAX))?.unwrap_or(2048);
        let factor = match keys.float("rope.scaling.factor")? {
            None => keys.float("rope.scale_linear")?.unwrap_or(1.0),
            Some(factor) => factor,
        };
        let scaling = match keys.string("rope.scaling.type")? {
            None | Some("linear") if factor == 1.0 => RopeScaling::None,
            None | Some("linear") => RopeScaling::Linear,
            Some("none") => RopeScaling::None,
            Some("yarn") => RopeScaling::Yarn,
            Some("longrope" | "su") => RopeScaling::LongRope,
            Some(other) => {
                return Err(ModelError::BadKey {
                    key: keys.name("rope.scaling.type"),
                    found: format!("`{other}`"),
                    wanted: "none, linear, yarn or longrope".into(),
                });
            }
        };
        let pattern = keys.name("attention.sliding_window_pattern");
        let (sliding_layers, sliding_period) = match metadata.get(&pattern) {
            Some(ascua_gguf::Value::Array(_)) => {
                let flags: Vec<bool> = keys.list("attention.sliding_window_pattern")?.iter().map(|&v| v != 0).collect();
                ((!flags.is_empty()).then_some(flags), None)
            }
            Some(_) => (None, keys.optional("attention.sliding_window_pattern", MAX_LAYERS)?),
            None => (None, None),
        };
        if let Some(flags) = &sliding_layers
            && flags.len() < layers
        {
            return Err(ModelError::BadKey {
                key: pattern,
                found: format!("a list of {}", flags.len()),
                wanted: format!("one entry for each of {layers} layers"),
            });
        }
        let rope_base = keys.float("rope.freq_base")?.unwrap_or(10_000.0);
        let experts = keys.optional("expert_count", 1 << 16)?.unwrap_or(0);
        let config = ModelConfig {
            layers,
            embedding_length,
            feed_forward_length: keys.per_layer("feed_forward_length", layers)?.unwrap_or_else(|| vec![0; layers]),
            key_size,
            value_size,
            vocabulary,
            context_length,
            rms_epsilon: keys.float("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
            attention_scale: keys.float("attention.scale")?,
            attention_softcap: keys.float("attn_logit_softcapping")?,
            final_softcap: keys.float("final_logit_softcapping")?,
            sliding_window: keys.optional("attention.sliding_window", MAX_DIMENSION)?,
            sliding_layers,
            sliding_period,
            rotary_size: keys.optional("rope.dimension_count", MAX_DIMENSION)?.unwrap_or(key_size),
            rope_base,
            rope_base_sliding: keys.float("rope.freq_base_swa")?.unwrap_or(10_000.0),
            rope_scaling: scaling,
            rope_factor: factor,
            rope_original_context: keys
                .optional("rope.scaling.original_context_length", u64::from(u32::MAX))?
                .unwrap_or(context_length),
            rope_attention_factor: keys.float("rope.scaling.attn_factor")?,
            rope_yarn_log_multiplier: keys.float("rope.scaling.yarn_log_multiplier")?.unwrap_or(0.0),
            rope_yarn_betas: (
                keys.float("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                keys.float("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
            ),
            experts,
            experts_used: keys.optional("expert_used_count", 1 << 16)?.unwrap_or(0),
            expert_feed_forward_length: keys.optional("expert_feed_forward_length", MAX_DIMENSION)?,
            shared_feed_forward_length: keys.optional("expert_shared_feed_forward_length", MAX_DIMENSION)?,
            expert_weights_scale: keys.float("expert_weights_scale")?.unwrap_or(1.0),
            context_in_use: context_length,
            heads,
            kv_heads,
            architecture: architecture.clone(),
        };
        config.check(&keys)?;
        Ok(config)
    }

    /// The relations between the numbers that the blocks rely on.
    fn check(&self, keys: &Keys<'_>) -> Result<(), ModelError> {
        let bad = |key: &str, found: String, wanted: &str| {
            Err(ModelError::BadKey { key: keys.name(key), found, wanted: wanted.into() })
        };
        for (&heads, &kv_heads) in self.heads.iter().zip(&self.kv_heads) {
            if heads != 0 && (kv_heads == 0 || heads % kv_heads != 0) {
                return bad("attention.head_count_kv", kv_heads.to_string(), &format!("a divisor of {heads} heads"));
            }
        }
        if self.rotary_size > self.key_size || !self.rotary_size.is_multiple_of(2) {
            return bad("rope.dimension_count", self.rotary_size.to_string(), "an even number up to the head size");
        }
        if self.experts_used > self.experts {
            return bad("expert_used_count", self.experts_used.to_string(), "at most expert_count");
        }
        if !(self.rope_base > 0.0 && self.rope_factor > 0.0) {
            return bad("rope.freq_base", self.rope_base.to_string(), "a positive number");
        }
        Ok(())
    }

    /// Whether a layer looks back over the sliding window only; `default_period`: every n-th layer sees everything.
    pub fn is_sliding(&self, layer: usize, default_period: usize) -> bool {
        if self.sliding_window.is_none() {
            return false;
        }
        match &self.sliding_layers {
            Some(flags) => flags[layer],
            None => {
                let period = self.sliding_period.unwrap_or(default_period);
                period == 0 || layer % period < period - 1
            }
        }
    }

    /// Rotary parameters of the model, in a given pairing.
    pub fn rope(&self, style: ascua_graph::RopeStyle) -> RopeParameters {
        let frequency_scale = match self.rope_scaling {
            RopeScaling::Linear | RopeScaling::Yarn => 1.0 / self.rope_factor,
            RopeScaling::None | RopeScaling::LongRope => 1.0,
        };
        let mut attention_factor = self.rope_attention_factor.unwrap_or(1.0);
        let mut extrapolation = 0.0;
        if self.rope_scaling == RopeScaling::Yarn {
            extrapolation = 1.0;
            attention_factor *= self.yarn_magnitude();
        }
        RopeParameters {
            style,
            rotary_size: self.rotary_size,
            base: self.rope_base,
            frequency_scale,
            extrapolation,
            attention_factor,
            beta_fast: self.rope_yarn_betas.0,
            beta_slow: self.rope_yarn_betas.1,
            original_context: self.rope_original_context,
            factors: None,
        }
    }

    /// Divisors of the rotary frequencies, where the file has them: `rope_freqs`, or LongRoPE's two sets of which the
    /// context in use chooses one.
    pub fn rope_factors(&self, builder: &mut crate::builder::GraphBuilder<'_>) -> Option<Vec<f32>> {
        let plain = builder.floats("rope_freqs.weight");
        let long = builder.floats("rope_factors_long.weight");
        let short = builder.floats("rope_factors_short.weight");
        plain.or(if self.context_in_use > self.rope_original_context { long } else { short })
    }

    /// YaRN's magnitude relative to the `1 + 0.1 ln(factor)` that the rotation itself applies.
    fn yarn_magnitude(&self) -> f32 {
        let magnitude = |multiplier: f32| {
            if self.rope_factor <= 1.0 { 1.0 } else { 0.1 * multiplier * self.rope_factor.ln() + 1.0 }
        };
        let wanted = if self.rope_yarn_log_multiplier != 0.0 {
            magnitude(1.0) / magnitude(self.rope_yarn_log_multiplier)
        } else {
            magnitude(1.0)
        };
        wanted / (1.0 + 0.1 * self.rope_factor.ln())
    }
}

/// Metadata keys under the architecture's name.
struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn missing(&self, key: &str) -> ModelError {
        ModelError::MissingKey { key: self.name(key) }
    }

    /// A number up to `limit`; 0 counts as unset.
    fn optional(&self, key: &str, limit: u64) -> Result<Option<usize>, ModelError> {
        match self.metadata.unsigned(&self.name(key))? {
            None | Some(0) => Ok(None),
            // Writers put the largest number for "unset".
            Some(value) if value == u64::from(u32::MAX) => Ok(None),
            Some(value) if value > limit => Err(self.too_large(key, value, limit)),
            Some(value) => Ok(Some(value as usize)),
        }
    }

    fn required(&self, key: &str, limit: u64) -> Result<usize, ModelError> {
        self.optional(key, limit)?.ok_or_else(|| self.missing(key))
    }

    fn too_large(&self, key: &str, value: u64, limit: u64) -> ModelError {
        ModelError::BadKey { key: self.name(key), found: value.to_string(), wanted: format!("at most {limit}") }
    }

    fn float(&self, key: &str) -> Result<Option<f32>, ModelError> {
        let value = self.metadata.float(&self.name(key))?.map(|v| v as f32);
        Ok(value.filter(|v| *v != 0.0 && v.is_finite()))
    }

    fn string(&self, key: &str) -> Result<Option<&str>, ModelError> {
        Ok(self.metadata.string(&self.name(key))?.filter(|s| !s.is_empty()))
    }

    fn list(&self, key: &str) -> Result<Vec<i64>, ModelError> {
        Ok(self.metadata.integers(&self.name(key))?.unwrap_or_default())
    }

    /// A number for all layers, or a list with one for each.
    fn per_layer(&self, key: &str, layers: usize) -> Result<Option<Vec<usize>>, ModelError> {
        if !matches!(self.metadata.get(&self.name(key)), Some(ascua_gguf::Value::Array(_))) {
            return Ok(self.optional(key, MAX_DIMENSION)?.map(|value| vec![value; layers]));
        }
        let list = self.list(key)?;
        if list.len() < layers || list.iter().any(|v| *v < 0 || *v as u64 > MAX_DIMENSION) {
            return Err(ModelError::BadKey {
                key: self.name(key),
                found: format!("a list of {}", list.len()),
                wanted: format!("{layers} numbers from 0 to {MAX_DIMENSION}"),
            });
        }
        Ok(Some(list.iter().take(layers).map(|&v| v as usize).collect()))
    }
}
