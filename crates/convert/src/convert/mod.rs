//! A checkpoint of Hugging Face as a model to be written.
//!
//! [`Conversion::open`] reads `config.json`, finds the family ([`ascua_models::hugging_face`]), places every tensor of the
//! checkpoint ([`assemble`]), writes the keys ([`general`]) and asks the architecture whether all is there ([`check`]).
//! Then it is [`Weights`] as any other model: [`crate::quantize::Plan`] chooses types and writes it in one pass, and each
//! row is read from the checkpoint, moved, scaled and changed when it is encoded ([`rows`]). No tensor is ever whole in
//! memory. An adapter of PEFT becomes a file in the same way ([`adapter`]).

mod adapter;
mod assemble;
mod check;
mod error;
mod general;
mod rows;

use std::path::{Path, PathBuf};

use ascua_gguf::{Metadata, TensorInfo, TensorType};
use ascua_models::hugging_face::{Config, Family, Keys};

pub use adapter::{ADAPTER_TYPES, AdapterOptions, PeftAdapter, PeftError, TensorOfAdapter, is_peft};
pub use error::ConvertError;

use self::assemble::Assembled;
use crate::checkpoint::{Checkpoint, DType, read_json};
use crate::quantize::{FileType, QuantizeError};
use crate::weights::{TensorRows, Weights};

/// The file that makes a directory a checkpoint.
const CONFIG: &str = "config.json";

/// Whether a directory looks like a checkpoint of Hugging Face.
pub fn is_checkpoint(directory: &Path) -> bool {
    directory.join(CONFIG).is_file() && crate::checkpoint::has_weights(directory)
}

/// `general.architecture` of the file that a checkpoint would become.
///
/// # Errors
/// `config.json` is missing, damaged, or of a class that is not known.
pub fn architecture(directory: &Path) -> Result<&'static str, ConvertError> {
    let (config, family) = described(directory)?;
    Ok(family.architecture(&config))
}

/// Whether rows of a checkpoint's embedding past the last token of its tokenizer are left out of the file.
///
/// # Errors
/// As [`architecture`].
pub fn drops_surplus_tokens(directory: &Path) -> Result<bool, ConvertError> {
    Ok(described(directory)?.1.drops_surplus_tokens())
}

/// A checkpoint, or an adapter of PEFT, to be written as GGUF.
pub struct Conversion {
    checkpoint: Checkpoint,
    metadata: Metadata,
    /// What is written, and beside it what it is made of.
    infos: Vec<TensorInfo>,
    assembled: Vec<Assembled>,
}

impl Conversion {
    /// Opens the checkpoint in `directory`; `vocabulary` are the keys of its tokenizer, none for a model without.
    ///
    /// # Errors
    /// A file is missing or damaged, the family is not known, or a tensor is missing, surplus or of another shape.
    pub fn open(directory: &Path, vocabulary: &Metadata) -> Result<Conversion, ConvertError> {
        let (config, family) = described(directory)?;
        let checkpoint = Checkpoint::open(directory)?;
        let assembled = assemble::assemble(&checkpoint, &config, family, tokens(vocabulary))?;
        let infos: Vec<TensorInfo> = assembled.iter().map(Assembled::info).collect::<Result<_, _>>()?;
        let architecture = family.architecture(&config);
        let mut metadata = Metadata::new();
        metadata.insert(ascua_gguf::ARCHITECTURE_KEY, architecture);
        general::write(&mut metadata, directory, &infos);
        family.keys(&config, &mut Keys::new(&mut metadata, architecture))?;
        for (key, value) in vocabulary.iter() {
            metadata.insert(key, value.clone());
        }
        check::check(&metadata, &infos, &assembled)?;
        Ok(Conversion { checkpoint, metadata, infos, assembled })
    }

    /// The floats of 16 bits that lose least of the weights: what the first matrix has, half precision for wider ones.
    pub fn closest_file_type(&self) -> FileType {
        let first = self
            .checkpoint
            .tensors()
            .find(|tensor| tensor.shape.len() > 1 && matches!(tensor.dtype, DType::BF16 | DType::F16));
        match first {
            Some(tensor) if tensor.dtype == DType::BF16 => FileType::BF16,
            _ => FileType::F16,
        }
    }

    /// Weights.
    pub fn elements(&self) -> u64 {
        self.infos.iter().map(TensorInfo::elements).sum()
    }
}

impl Weights for Conversion {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn has_data(&self) -> bool {
        true
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.checkpoint.files().to_vec()
    }

    fn rows<'s>(&'s self, tensor: &'s TensorInfo) -> Result<Box<dyn TensorRows + 's>, QuantizeError> {
        let place = self.infos.iter().position(|info| info.name == tensor.name);
        let place = place.expect("the quantiser asks for tensors it was told of");
        Ok(Box::new(rows::Rows::new(&self.checkpoint, &self.assembled[place])))
    }
}

/// The configuration, and the family that knows it.
fn described(directory: &Path) -> Result<(Config, &'static dyn Family), ConvertError> {
    if !directory.is_dir() {
        return Err(crate::checkpoint::CheckpointError::NotDirectory { path: directory.to_owned() }.into());
    }
    let json = read_json(&directory.join(CONFIG))?;
    let json = json.ok_or_else(|| ConvertError::NoConfig { path: directory.to_owned() })?;
    let mut config = Config::new(json)?;
    let family = ascua_models::architectures::find_family(&config)?;
    config.fill(family);
    Ok((config, family))
}

/// Tokens of a vocabulary.
fn tokens(vocabulary: &Metadata) -> Option<u64> {
    vocabulary.strings("tokenizer.ggml.tokens").ok().flatten().map(|tokens| tokens.len() as u64)
}

/// The type a tensor is kept in where the mix has no say: floats as they are, all of them where the field's tools want so.
fn kept_type(name: &str, shape: &[u64], dtype: Option<DType>) -> TensorType {
    /// Small factors of decisions, which suffer from rounding.
    const ROUTERS: [&str; 2] = ["ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight"];
    let is_wide = shape.len() < 2
        || name.ends_with("_norm.weight")
        || !name.ends_with(".weight")
        || ROUTERS.iter().any(|router| name.ends_with(router));
    match dtype {
        Some(DType::F16) if !is_wide => TensorType::F16,
        Some(DType::BF16) if !is_wide => TensorType::BF16,
        _ => TensorType::F32,
    }
}
