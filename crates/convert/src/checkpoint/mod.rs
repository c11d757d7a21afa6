//! Checkpoints: directories of tensors as Hugging Face has them, read in place.
//!
//! [`Checkpoint::open`] finds the files ([`files`]), reads their lists of tensors ([`safetensors`], [`pytorch`]) and puts
//! together what belongs together (a weight in 8 bits and its [`scale`]). Tensor bytes stay in the mapped files; rows are
//! decoded as they are asked for. Invariant: nothing in a file is trusted. Every offset, length and shape is checked
//! before it is used, and nothing in a file is ever run.

mod dtype;
mod error;
mod files;
mod json;
mod pytorch;
mod safetensors;
mod scale;
mod tensor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use dtype::DType;
pub use error::{CheckpointError, TensorProblem};
pub(crate) use files::has_weights;
pub use json::{MAX_JSON_BYTES, read_json};
pub use scale::BlockScale;
pub use tensor::StoredTensor;

/// An open checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    files: Vec<PathBuf>,
    /// By name.
    tensors: BTreeMap<String, StoredTensor>,
}

impl Checkpoint {
    /// Maps the files of the checkpoint in `directory` and reads what tensors they have.
    pub fn open(directory: impl AsRef<Path>) -> Result<Checkpoint, CheckpointError> {
        let directory = directory.as_ref();
        let found = files::find(directory)?;
        let mut tensors = BTreeMap::new();
        for (number, path) in found.paths.iter().enumerate() {
            for tensor in files::read(path, number)? {
                found.check_place(path, &tensor.name)?;
                if let Some(twice) = tensors.insert(tensor.name.clone(), tensor) {
                    let name = twice.name.clone();
                    return Err(CheckpointError::Twice {
                        name,
                        first: found.paths[twice.file].clone(),
                        second: path.clone(),
                    });
                }
            }
        }
        found.check_complete(&tensors)?;
        Ok(Checkpoint { directory: directory.to_owned(), files: found.paths, tensors })
    }

    /// Maps one file, whatever it is called, with the tensors it has.
    pub fn open_file(path: &Path) -> Result<Checkpoint, CheckpointError> {
        let mut tensors = BTreeMap::new();
        for tensor in files::read(path, 0)? {
            let name = tensor.name.clone();
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(CheckpointError::Tensor { path: path.to_owned(), name, problem: TensorProblem::Twice });
            }
        }
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Checkpoint { directory, files: vec![path.to_owned()], tensors })
    }

    /// Has a matrix read the other way round: its columns as rows.
    pub(crate) fn transpose(&mut self, name: &str) {
        if let Some(tensor) = self.tensors.get_mut(name) {
            tensor.transpose();
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files the tensors lie in.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every tensor, by name.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &StoredTensor> {
        self.tensors.values()
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// The file of a tensor.
    pub fn file_of(&self, tensor: &StoredTensor) -> &Path {
        &self.files[tensor.file]
    }

    /// The scales of a weight that has some; `block` is the shape of a block, rows first, as `config.json` has it.
    pub fn scale_of(&self, weight: &StoredTensor, block: [u64; 2]) -> Result<Option<BlockScale>, CheckpointError> {
        let Some(name) = scale::names(&weight.name).into_iter().find(|name| self.tensors.contains_key(name)) else {
            return Ok(None);
        };
        let scale = &self.tensors[&name];
        let read = BlockScale::new(weight, scale, block);
        read.map(Some).map_err(|problem| self.problem(scale, problem))
    }

    /// Whether a tensor only serves another one: its scale, or the scale of activations, which are not quantised here.
    pub fn is_auxiliary(&self, name: &str) -> bool {
        scale::is_of_activations(name)
            || scale::weight_of(name).is_some_and(|weight| self.tensors.contains_key(&weight))
    }

    /// An error about a tensor, with its file.
    pub fn problem(&self, tensor: &StoredTensor, problem: TensorProblem) -> CheckpointError {
        CheckpointError::Tensor { path: self.file_of(tensor).to_owned(), name: tensor.name.clone(), problem }
    }
}
