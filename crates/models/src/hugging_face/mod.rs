//! From Hugging Face checkpoints to GGUF: what each family's `config.json` and tensors become.
//!
//! A [`Family`] stands in the file of its architecture: the classes it is called by, its names of tensors, the keys it
//! writes. Here is what families share: the reader of `config.json` ([`Config`]), the keys nearly all write ([`Keys`]),
//! and how a name is placed ([`Piece`]). Keys and values are those llama.cpp's converter writes (`conversion/*.py`), so
//! that either engine runs the file.

mod config;
mod keys;
mod names;
mod rope;

use std::fmt;

pub use config::{Config, ConfigError};
pub use keys::Keys;
pub use names::{EXPERT_NAMES, LLAMA_NAMES, Names};
pub use rope::{RopeConfig, llama3_factors};

/// How the checkpoints of a family become GGUF.
pub trait Family: Sync {
    /// Names of classes in `architectures` of `config.json`.
    fn classes(&self) -> &'static [&'static str];

    /// `general.architecture` of the file.
    fn architecture(&self, config: &Config) -> &'static str;

    /// Names of tensors: those of the checkpoint without `.weight` or `.bias`, and those of the file.
    fn names(&self) -> &'static [&'static Names];

    /// Fields that the class fills in where the configuration leaves them out, with their values as JSON.
    fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Writes the keys that describe the model.
    ///
    /// # Errors
    /// The configuration lacks something, or describes what the architecture cannot do.
    fn keys(&self, config: &Config, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        keys.usual(config)
    }

    /// Heads whose rows change from halves to pairs, where the architecture rotates pairs and the checkpoint halves;
    /// `target` is the name in the file.
    ///
    /// # Errors
    /// The configuration does not say how many heads there are.
    fn paired_heads(&self, _config: &Config, _target: &str) -> Result<Option<u64>, ConfigError> {
        Ok(None)
    }

    /// What happens to the values of a tensor; `target` is the name in the file.
    fn change(&self, _config: &Config, _target: &str) -> Change {
        Change::Keep
    }

    /// Tensors that are made of the configuration.
    ///
    /// # Errors
    /// The configuration is not what it should be.
    fn computed(&self, _config: &Config) -> Result<Vec<Computed>, ConfigError> {
        Ok(Vec::new())
    }

    /// Whether the token embedding is the output too where the configuration does not say.
    fn is_tied_by_default(&self) -> bool {
        false
    }

    /// Whether rows of the token embedding past the last token are left out.
    fn drops_surplus_tokens(&self) -> bool {
        false
    }
}

/// What happens to values on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// One is added: norms that are stored as what they differ from one by.
    AddOne,
    /// Each row gets length one: an output that compares directions only.
    UnitRows,
}

/// A tensor made of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Its name in the file.
    pub target: String,
    /// Its values; it has one dimension.
    pub values: Vec<f32>,
}

/// Where a tensor of a checkpoint, or a part of it, goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The tensor of the file.
    pub target: String,
    /// Which matrix of a stack, where each has a tensor of its own in the checkpoint.
    pub expert: Option<usize>,
    /// Which of equal parts of the rows.
    pub part: Part,
    /// Heads whose rows change from halves to pairs.
    pub paired_heads: Option<u64>,
    /// What happens to the values.
    pub change: Change,
}

/// One of equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub count: u64,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {}", self.index + 1, self.count)
    }
}

/// Endings of tensors that are no weights: masks and angles that are computed anew.
const NO_WEIGHTS: [&str; 4] = [".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq", ".attn.bias"];
/// Parts of names of the other senses of a model.
const OTHER_SENSES: [&str; 8] =
    ["visual.", "vision_", "vision.", "audio_", "audio.", "multi_modal_projector.", "mm_projector.", "talker."];

/// Where a tensor of a checkpoint goes; empty where it is knowingly left out, `None` where the family does not know it.
///
/// # Errors
/// The configuration lacks what the place depends on.
pub fn place(family: &dyn Family, config: &Config, name: &str) -> Result<Option<Vec<Piece>>, ConfigError> {
    if NO_WEIGHTS.iter().any(|ending| name.ends_with(ending)) || OTHER_SENSES.iter().any(|part| name.contains(part)) {
        return Ok(Some(Vec::new()));
    }
    let Some(found) = names::find(family.names(), name, config.class()) else { return Ok(None) };
    let mut pieces = Vec::new();
    let count = found.targets.len() as u64;
    for (index, target) in (0..).zip(found.targets) {
        if target == "output.weight" && config.is_tied(family) {
            return Ok(Some(Vec::new()));
        }
        pieces.push(Piece {
            paired_heads: family.paired_heads(config, &target)?,
            change: family.change(config, &target),
            target,
            expert: found.expert,
            part: Part { index, count },
        });
    }
    Ok(Some(pieces))
}
