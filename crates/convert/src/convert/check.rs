//! Whether the architecture finds all it needs, and nothing it does not know, before anything is written.

use std::collections::HashMap;

use ascua_gguf::{Metadata, TensorInfo, TensorType};
use ascua_models::{ModelConfig, ModelError, Necessity, TensorCatalogue, architectures, record};

use super::ConvertError;
use super::assemble::{Assembled, Content};

pub(super) fn check(metadata: &Metadata, infos: &[TensorInfo], assembled: &[Assembled]) -> Result<(), ConvertError> {
    let tensors: HashMap<&str, (&TensorInfo, &Assembled)> =
        infos.iter().zip(assembled).map(|(info, made)| (info.name.as_str(), (info, made))).collect();
    let table = tensors.get("token_embd.weight");
    let (table, _) = table.ok_or_else(|| ModelError::MissingTensor { name: "token_embd.weight".into() })?;
    let config = ModelConfig::read(metadata, table.rows() as usize)?;
    let architecture = architectures::find(&config.architecture)?;
    record(architecture, &config, &Planned { tensors })?;
    Ok(())
}

/// The tensors there will be.
struct Planned<'a> {
    tensors: HashMap<&'a str, (&'a TensorInfo, &'a Assembled)>,
}

impl TensorCatalogue for Planned<'_> {
    fn find(&self, name: &str, _shape: &[usize], _necessity: Necessity) -> Option<(Vec<u64>, TensorType)> {
        self.tensors.get(name).map(|(info, _)| (info.shape.clone(), info.tensor_type))
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        match &self.tensors.get(name)?.1.content {
            Content::Computed(values) => Some(values.clone()),
            Content::Stored(_) => None,
        }
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().map(|&name| name.to_owned()).collect()
    }
}
