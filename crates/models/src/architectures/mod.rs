//! Model architectures as data: one file each, one line in the list below.

use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::decoder::LayerSpec;
use crate::error::ModelError;
use crate::hugging_face::{Config, ConfigError, Family};

mod baichuan;
mod gemma3;
mod llama;
mod phi3;
mod qwen;
mod qwen2;
mod qwen2moe;
mod qwen3;

/// What distinguishes one family of models from another.
pub trait Architecture: Sync {
    /// Names in `general.architecture`.
    fn names(&self) -> &'static [&'static str];

    /// One layer.
    ///
    /// # Errors
    /// The metadata does not describe a layer of this architecture.
    fn layer(
        &self,
        config: &ModelConfig,
        index: usize,
        builder: &mut GraphBuilder<'_>,
    ) -> Result<LayerSpec, ModelError>;

    /// Factor on the embeddings.
    fn embedding_scale(&self, _config: &ModelConfig) -> Option<f32> {
        None
    }

    /// How its checkpoints become files.
    fn family(&self) -> &'static dyn Family;

    /// Tensors that files of this architecture may carry and that are knowingly not used.
    fn unused_tensors(&self) -> &'static [&'static str] {
        &[]
    }
}

/// All architectures.
static ARCHITECTURES: &[&dyn Architecture] = &[
    &llama::Llama,
    &qwen::Qwen,
    &qwen2::Qwen2,
    &qwen2moe::Qwen2Moe,
    &qwen3::Qwen3,
    &baichuan::Baichuan,
    &gemma3::Gemma3,
    &phi3::Phi3,
];

/// The architecture of a name.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static dyn Architecture, ModelError> {
    ARCHITECTURES.iter().copied().find(|a| a.names().contains(&name)).ok_or_else(|| ModelError::UnknownArchitecture {
        name: name.to_owned(),
        supported: names().collect::<Vec<_>>().join(", "),
    })
}

/// Names of all architectures.
pub fn names() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().flat_map(|a| a.names().iter().copied())
}

/// The family whose checkpoints are of the class that a configuration names.
///
/// # Errors
/// There is none.
pub fn find_family(config: &Config) -> Result<&'static dyn Family, ConfigError> {
    let families = || ARCHITECTURES.iter().map(|architecture| architecture.family());
    families().find(|family| family.classes().contains(&config.class())).ok_or_else(|| ConfigError::UnknownClass {
        class: config.class().escape_debug().to_string(),
        supported: families().flat_map(|family| family.classes()).copied().collect::<Vec<_>>().join(", "),
    })
}
