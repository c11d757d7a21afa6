//! Writing the keys of a model, and those that nearly every family writes.

use ascua_gguf::{Metadata, Value};

use super::{Config, ConfigError};

/// The keys under an architecture's name.
pub struct Keys<'a> {
    metadata: &'a mut Metadata,
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    /// Writes to `metadata`.
    pub fn new(metadata: &'a mut Metadata, architecture: &'a str) -> Keys<'a> {
        Keys { metadata, architecture }
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.metadata.insert(format!("{}.{key}", self.architecture), value);
    }

    /// Sets a whole number of 32 bits.
    ///
    /// # Errors
    /// It has more.
    pub fn unsigned(&mut self, key: &str, value: u64) -> Result<(), ConfigError> {
        let value = u32::try_from(value).map_err(|_| ConfigError::Field {
            name: key.to_owned(),
            found: value.to_string(),
            wanted: "a number of 32 bits".into(),
        })?;
        self.set(key, value);
        Ok(())
    }

    /// Sets a float.
    pub fn float(&mut self, key: &str, value: f64) {
        self.set(key, value as f32);
    }

    /// Sets a whole number where there is one.
    ///
    /// # Errors
    /// As [`Keys::unsigned`].
    pub fn optional(&mut self, key: &str, value: Option<u64>) -> Result<(), ConfigError> {
        value.map_or(Ok(()), |value| self.unsigned(key, value))
    }

    /// What nearly every family writes: sizes, heads, context, rotation, norm, experts.
    ///
    /// # Errors
    /// A field of the configuration is missing or not what it should be.
    pub fn usual(&mut self, c: &Config) -> Result<(), ConfigError> {
        self.unsigned("block_count", c.required(&["num_hidden_layers", "n_layer", "n_layers", "num_layers"])?)?;
        let context = ["max_position_embeddings", "n_ctx", "n_positions", "max_length", "model_max_length"];
        self.optional("context_length", c.unsigned(&context)?)?;
        self.unsigned("embedding_length", c.width()?)?;
        self.optional("feed_forward_length", c.unsigned(&["intermediate_size", "n_inner", "hidden_dim"])?)?;
        self.unsigned("attention.head_count", c.heads()?)?;
        self.unsigned("attention.head_count_kv", c.kv_heads()?)?;
        self.rope(c)?;
        if let Some(epsilon) = c.float(&["rms_norm_eps", "norm_eps"])? {
            self.float("attention.layer_norm_rms_epsilon", epsilon);
        }
        self.optional("expert_count", c.unsigned(&["num_local_experts", "num_experts", "n_routed_experts"])?)?;
        self.optional("expert_used_count", c.unsigned(&["num_experts_per_tok", "num_experts_per_token"])?)?;
        if let Some(size) = c.unsigned(&["head_dim"])? {
            self.unsigned("attention.key_length", size)?;
            self.unsigned("attention.value_length", size)?;
        }
        Ok(())
    }

    /// How positions are rotated and stretched.
    fn rope(&mut self, c: &Config) -> Result<(), ConfigError> {
        let rope = c.rope()?;
        let factor = rope.float("factor")?;
        match (rope.kind(), factor) {
            (Some("linear"), Some(factor)) => {
                self.set("rope.scaling.type", "linear");
                self.float("rope.scaling.factor", factor);
            }
            (Some("yarn"), Some(factor)) => {
                self.set("rope.scaling.type", "yarn");
                self.float("rope.scaling.factor", factor);
                let context = rope.required("original_max_position_embeddings")?;
                self.unsigned("rope.scaling.original_context_length", context as u64)?;
                for (field, key) in [
                    ("extrapolation_factor", "rope.scaling.yarn_ext_factor"),
                    ("attention_factor", "rope.scaling.yarn_attn_factor"),
                    ("beta_fast", "rope.scaling.yarn_beta_fast"),
                    ("beta_slow", "rope.scaling.yarn_beta_slow"),
                ] {
                    if let Some(value) = rope.float(field)? {
                        self.float(key, value);
                    }
                }
            }
            (Some("su" | "longrope"), _) => self.set("rope.scaling.type", "longrope"),
            // Dynamic stretching begins past the trained context only; `llama3` is a tensor of factors.
            (None | Some("default" | "dynamic" | "llama3" | "linear" | "yarn"), _) => {}
            (Some(other), _) => {
                return Err(ConfigError::Field {
                    name: "rope_scaling.rope_type".into(),
                    found: format!("`{}`", other.escape_debug()),
                    wanted: "default, linear, yarn, longrope, llama3 or dynamic".into(),
                });
            }
        }
        if let Some(base) = rope.base {
            self.float("rope.freq_base", base);
        }
        if let Some(base) = rope.sliding_base {
            self.float("rope.freq_base_swa", base);
        }
        Ok(())
    }
}
