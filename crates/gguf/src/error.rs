//! What can be wrong with a file, one variant a condition.
//!
//! [`Malformed`] is about content and knows no path; [`GgufError`] adds the place. Names that come from a file are
//! escaped and shortened before they enter an error, so that a hostile file cannot write to a terminal through it.

use std::io;
use std::path::PathBuf;

use crate::limits;
use crate::{MetadataError, TensorType};

/// Why a GGUF file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path is a directory.
    #[error("{}: is a directory, wanted a GGUF file", path.display())]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// The path is a pipe, a socket or a device.
    #[error("{}: is not a regular file, and only those can be mapped", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The file does not fit in this machine's address space.
    #[error("{}: has {bytes} bytes, more than this machine can address", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The content is not a sound GGUF file.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file; `<memory>` where it was given as bytes.
        path: PathBuf,
        /// What is wrong.
        problem: Malformed,
    },
    /// A part of a split model other than the first was given.
    #[error("{}: is part {part} of {count} of a split model; give the first part, {}", path.display(), first.display())]
    NotFirstPart {
        /// The file given.
        path: PathBuf,
        /// Its number, from 1.
        part: u64,
        /// Number of parts.
        count: u64,
        /// Where the first part should be.
        first: PathBuf,
    },
    /// The file says it is one of several, and its name does not tell the others.
    #[error("{}: is one of {count} parts, but its name does not end in `-00001-of-{count:05}.gguf`, so the others cannot be found", path.display())]
    PartName {
        /// The file.
        path: PathBuf,
        /// Number of parts.
        count: u64,
    },
    /// A part cannot be found.
    #[error("{}: part {part} of {count} is missing", path.display())]
    MissingPart {
        /// Where it should be.
        path: PathBuf,
        /// Its number, from 1.
        part: u64,
        /// Number of parts.
        count: u64,
    },
    /// A part belongs elsewhere.
    #[error("{}: says it is part {found_part} of {found_count}, wanted part {part} of {count}", path.display())]
    WrongPart {
        /// The file.
        path: PathBuf,
        /// The number it has, from 1.
        found_part: u64,
        /// The number of parts it knows.
        found_count: u64,
        /// The number wanted, from 1.
        part: u64,
        /// Number of parts.
        count: u64,
    },
    /// The parts together have another number of tensors than the first one says.
    #[error("{}: the {count} parts hold {found} tensors, but `split.tensors.count` is {wanted}", path.display())]
    PartTensors {
        /// The first part.
        path: PathBuf,
        /// Number of parts.
        count: u64,
        /// Tensors in all parts.
        found: u64,
        /// Tensors announced.
        wanted: u64,
    },
}

impl GgufError {
    /// What is wrong with the content, where that is the reason.
    pub fn malformed(&self) -> Option<&Malformed> {
        match self {
            GgufError::Malformed { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

/// What is wrong with the content of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Malformed {
    #[error("the file is empty")]
    Empty,
    #[error("the file begins with zero bytes, not with `GGUF`: a download that was never filled in?")]
    Zeros,
    #[error("the file begins with `{}`{}, not with `GGUF`", found.escape_ascii(), what_begins_so(found))]
    Magic { found: [u8; 4] },
    #[error("the file is big-endian GGUF version {version}; only little-endian files are read")]
    BigEndian { version: u32 },
    #[error("the file is GGUF version 1, which had 32-bit lengths and is no longer read; convert it to version 3")]
    VersionOne,
    #[error("the file is GGUF version {found}; versions 2 and 3 are read")]
    Version { found: u32 },
    #[error("{what} needs {needed} bytes at byte {offset}, but the file has {file}")]
    Truncated { what: String, offset: u64, needed: u64, file: u64 },

    #[error("the file announces {found} metadata keys; at most {limit} can be in it")]
    KeyCount { found: u64, limit: u64 },
    #[error("metadata key {index} is empty")]
    EmptyKey { index: u64 },
    #[error("metadata key {index} has {found} bytes; at most {} are allowed", limits::MAX_KEY_BYTES)]
    KeyLength { index: u64, found: u64 },
    #[error("metadata key {index} is not UTF-8 at its byte {at}")]
    KeyNotUtf8 { index: u64, at: usize },
    #[error("metadata key `{key}` is there twice")]
    DuplicateKey { key: String },
    #[error("metadata key `{key}` has value type {found}; 0 to 12 are known")]
    ValueType { key: String, found: u32 },
    #[error("metadata key `{key}` is an array with element type {found}; 0 to 12 are known")]
    ElementType { key: String, found: u32 },
    #[error("metadata key `{key}` has arrays nested deeper than {}", limits::MAX_ARRAY_DEPTH)]
    ArrayDepth { key: String },
    #[error("metadata key `{key}` has more than {} arrays inside its array", limits::MAX_NESTED_ARRAYS)]
    NestedArrays { key: String },
    #[error("metadata key `{key}` announces {found} elements of type {element}; at most {limit} can be in the file")]
    ArrayLength { key: String, found: u64, element: &'static str, limit: u64 },
    #[error("metadata key `{key}` announces a string of {found} bytes; at most {limit} can be in the file")]
    StringLength { key: String, found: u64, limit: u64 },
    #[error("metadata key `{key}` holds a string that is not UTF-8 at its byte {at}")]
    StringNotUtf8 { key: String, at: usize },
    #[error("metadata key `{key}` holds {found} as a boolean; 0 and 1 are known")]
    Boolean { key: String, found: u8 },
    #[error(
        "`general.alignment` is {found}; it must be a power of two from {} to {}",
        limits::MIN_ALIGNMENT,
        limits::MAX_ALIGNMENT
    )]
    Alignment { found: u64 },
    #[error(transparent)]
    Metadata(#[from] MetadataError),

    #[error("the file announces {found} tensors; at most {limit} can be in it")]
    TensorCount { found: u64, limit: u64 },
    #[error("tensor {index} has an empty name")]
    EmptyTensorName { index: u64 },
    #[error("tensor {index} has a name of {found} bytes; at most {} are allowed", limits::MAX_TENSOR_NAME_BYTES)]
    TensorNameLength { index: u64, found: u64 },
    #[error("tensor {index} has a name that is not UTF-8 at its byte {at}")]
    TensorNameNotUtf8 { index: u64, at: usize },
    #[error("tensor `{name}` is there twice")]
    DuplicateTensor { name: String },
    #[error("tensor `{name}` has {found} dimensions; at most {} are allowed", limits::MAX_DIMENSIONS)]
    Dimensions { name: String, found: u64 },
    #[error("tensor `{name}` has dimension {dimension} of size 0")]
    ZeroDimension { name: String, dimension: usize },
    #[error("tensor `{name}` of shape {shape:?} has more elements than fit 63 bits")]
    Elements { name: String, shape: Vec<u64> },
    #[error("tensor `{name}` of shape {shape:?} and type {tensor_type} has more bytes than fit 63 bits")]
    TensorBytes { name: String, shape: Vec<u64>, tensor_type: TensorType },
    #[error("tensor `{name}` has type {found}, which is unknown")]
    TensorType { name: String, found: u32 },
    #[error("tensor `{name}` has type {found} ({was}), which was withdrawn from the format")]
    WithdrawnTensorType { name: String, found: u32, was: &'static str },
    #[error(
        "tensor `{name}` of type {tensor_type} has rows of {row} elements, not a multiple of the block's {}",
        tensor_type.block_len()
    )]
    PartialBlock { name: String, tensor_type: TensorType, row: u64 },
    #[error("tensor `{name}` starts at offset {offset}, not a multiple of the alignment {alignment}")]
    Misaligned { name: String, offset: u64, alignment: u64 },
    #[error("tensor `{name}` with {bytes} bytes at offset {offset} ends past what 64 bits can count")]
    TensorOffset { name: String, offset: u64, bytes: u64 },
    #[error("tensor `{name}` ends at byte {end}, but the file has {file}")]
    TensorPastEnd { name: String, end: u64, file: u64 },
    #[error("tensor `{name}` starts at byte {start}, but tensor `{other}` before it ends at byte {end}")]
    Overlap { name: String, start: u64, other: String, end: u64 },
    #[error("the file is one of {count} parts of a split model, and was given without its path")]
    PartWithoutPath { count: u64 },
}

/// A name from a file, made fit to be shown: escaped, and shortened past 100 characters.
pub(crate) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(100).flat_map(char::escape_debug).collect();
    if name.chars().nth(100).is_some() {
        shown.push('…');
    }
    shown
}

fn what_begins_so(magic: &[u8; 4]) -> &'static str {
    match magic {
        b"lmgg" | b"fmgg" | b"tjgg" | b"algg" => " (the format before GGUF)",
        b"PK\x03\x04" => " (a zip archive or PyTorch file)",
        b"vers" => " (a Git LFS pointer: the file itself was not downloaded?)",
        b"<!DO" | b"<!do" | b"<htm" | b"<HTM" => " (a web page)",
        b"\x1f\x8b\x08\x00" | b"\x1f\x8b\x08\x08" => " (a gzip archive)",
        _ => "",
    }
}
