//! What can be wrong with a checkpoint, one variant a condition.

use std::path::PathBuf;

use super::DType;

/// A checkpoint that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The path is no directory.
    #[error("{}: is not a directory, wanted one with `config.json` and the weights", path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
    },
    /// No file of weights is there.
    #[error("{}: no weights: neither `model*.safetensors` nor `pytorch_model*.bin`", path.display())]
    NoWeights {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be mapped.
    #[error(transparent)]
    Map(#[from] ascua_gguf::GgufError),
    /// A file of JSON is too large to be one of a checkpoint.
    #[error("{}: has {found} bytes of JSON; at most {limit} are read", path.display())]
    JsonSize {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A file is no JSON, or not the JSON wanted.
    #[error("{}: {problem}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The index names a file that is not there.
    #[error("{}: part is missing; `{index}` says that it holds {count} tensors, such as `{name}`", path.display())]
    MissingPart {
        /// The file.
        path: PathBuf,
        /// The index.
        index: String,
        /// Tensors it should hold.
        count: usize,
        /// One of them.
        name: String,
    },
    /// A part of the numbered files is not there, and no index either.
    #[error("{}: part {part} of {count} is missing", path.display())]
    MissingNumber {
        /// Where it should be.
        path: PathBuf,
        /// Its number, from 1.
        part: usize,
        /// Parts there should be.
        count: usize,
    },
    /// The index names a tensor that its file does not hold.
    #[error("{}: has no tensor `{name}`, but `{index}` says so", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The index.
        index: String,
    },
    /// A file holds a tensor that the index does not name.
    #[error("{}: tensor `{name}` has no entry in `{index}`", path.display())]
    NotInIndex {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The index.
        index: String,
    },
    /// Two files hold a tensor of the same name.
    #[error("tensor `{name}` is in {} and in {}", first.display(), second.display())]
    Twice {
        /// The tensor.
        name: String,
        /// A file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The container of a file is damaged.
    #[error("{}: {problem}", path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A pickle asks for something that tensors do not need.
    #[error("{}: the pickle asks for `{global}`, which tensors do not need; nothing in it was run", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Module and name.
        global: String,
    },
    /// A tensor is damaged or of a kind that is not read.
    #[error("{}: tensor `{name}` {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: TensorProblem,
    },
}

/// What is wrong with a tensor; follows its name in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TensorProblem {
    #[error("is there twice")]
    Twice,
    #[error("has type {found}, which is not read")]
    Type { found: String },
    #[error("has {found} dimensions; at most {limit} are read")]
    Dimensions { found: usize, limit: usize },
    #[error("has shape {shape:?}, more than 63 bits can count")]
    Elements { shape: Vec<u64> },
    #[error("of shape {shape:?} and type {dtype} needs {needed} bytes, but has the bytes {start} to {end}")]
    Length { shape: Vec<u64>, dtype: DType, needed: u64, start: u64, end: u64 },
    #[error("ends at byte {end}, but the file has {file}: was it cut?")]
    PastEnd { end: u64, file: u64 },
    #[error("starts at byte {start}, inside of tensor `{other}`")]
    Overlap { start: u64, other: String },
    #[error("has strides {strides:?} for shape {shape:?} and lies outside of its storage of {elements} elements")]
    Strides { shape: Vec<u64>, strides: Vec<u64>, elements: u64 },
    #[error("lies in storage `{key}`, which is not in the file")]
    NoStorage { key: String },
    #[error("is {dtype}, wanted floats")]
    NotFloats { dtype: DType },
    #[error("has shape {shape:?}, which does not fit as scales of a weight of shape {weight:?}")]
    ScaleShape { shape: Vec<u64>, weight: Vec<u64> },
}
