//! How a configuration says that positions are rotated: `rope_theta` and `rope_scaling`, or `rope_parameters` for both,
//! for all layers or for windowed ones apart.

use serde_json::{Map, Value};

use super::Config;
use super::config::{ConfigError, wrong};

/// Rotation of the layers that see everything.
#[derive(Clone, Debug, Default)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub base: Option<f64>,
    /// Base of the frequencies in windowed layers.
    pub sliding_base: Option<f64>,
    fields: Map<String, Value>,
}

impl RopeConfig {
    pub(super) fn new(config: &Config) -> Result<RopeConfig, ConfigError> {
        let both = ["rope_parameters", "rope_scaling"].into_iter().find_map(|name| config.get(name));
        let both = both.and_then(Value::as_object).cloned().unwrap_or_default();
        let part = |name: &str| both.get(name).and_then(Value::as_object).cloned();
        let (full, sliding) = (part("full_attention"), part("sliding_attention"));
        let by_layer = full.is_some() || sliding.is_some();
        let mut rope = RopeConfig { fields: full.unwrap_or(both), ..RopeConfig::default() };
        rope.base = rope.float("rope_theta")?;
        if by_layer {
            let sliding = RopeConfig { fields: sliding.unwrap_or_default(), ..RopeConfig::default() };
            rope.sliding_base = sliding.float("rope_theta")?;
            return Ok(rope);
        }
        if rope.base.is_none() {
            rope.base = config.float(&["rope_theta", "rotary_emb_base"])?;
        }
        rope.sliding_base = config.float(&["rope_local_base_freq", "local_rope_theta"])?;
        for name in ["partial_rotary_factor", "original_max_position_embeddings"] {
            if let (None, Some(value)) = (rope.get(name), config.get(name)) {
                rope.fields.insert(name.to_owned(), value.clone());
            }
        }
        Ok(rope)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Which way of stretching.
    pub fn kind(&self) -> Option<&str> {
        self.get("rope_type").or_else(|| self.get("type")).and_then(Value::as_str)
    }

    /// A number.
    ///
    /// # Errors
    /// It is no number.
    pub fn float(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        self.get(name).map(|value| value.as_f64().ok_or_else(|| wrong(name, value, "a number"))).transpose()
    }

    /// A number that must be there.
    ///
    /// # Errors
    /// It is missing or no number.
    pub fn required(&self, name: &str) -> Result<f64, ConfigError> {
        self.float(name)?.ok_or_else(|| ConfigError::Missing { names: name.to_owned() })
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// It is no list of numbers.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let numbers = value.as_array().map(|list| list.iter().map(|n| n.as_f64().map(|n| n as f32)).collect());
        numbers.flatten().map(Some).ok_or_else(|| wrong(name, value, "a list of numbers"))
    }
}

/// Divisors of the frequencies of Llama 3.1 and later: waves longer than the first context are stretched, short ones are
/// not, and between it is blended; none where the configuration does not ask for them.
///
/// # Errors
/// A field of the configuration is not what it should be.
pub fn llama3_factors(config: &Config) -> Result<Option<Vec<f32>>, ConfigError> {
    let rope = config.rope()?;
    if rope.kind() != Some("llama3") {
        return Ok(None);
    }
    let size = config.head_size()?;
    let base = rope.base.unwrap_or(10_000.0) as f32;
    let factor = rope.float("factor")?.unwrap_or(8.0) as f32;
    let low = rope.float("low_freq_factor")?.unwrap_or(1.0) as f32;
    let high = rope.float("high_freq_factor")?.unwrap_or(4.0) as f32;
    let context = rope.float("original_max_position_embeddings")?.unwrap_or(8192.0) as f32;
    let divisor = |pair: u64| {
        let frequency = 1.0 / base.powf((2 * pair) as f32 / size as f32);
        let wave = 2.0 * std::f32::consts::PI / frequency;
        if wave < context / high {
            1.0
        } else if wave > context / low {
            factor
        } else {
            let smooth = (context / wave - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        }
    };
    Ok(Some((0..size / 2).map(divisor).collect()))
}
