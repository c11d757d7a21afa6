//! What can be wrong with an importance-matrix file.

use std::path::PathBuf;

use ascua_gguf::{GgufError, WriteError};

/// A file that cannot be read or written as an importance matrix, or not merged with another.
#[derive(Debug, thiserror::Error)]
pub enum ImatrixError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is no GGUF file after all.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The file holds no entry.
    #[error("{}: no entry: not an importance matrix", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A GGUF file without the keys of an importance matrix.
    #[error("{}: the key `{key}` of an importance matrix is missing or is not {wanted}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What it must hold.
        wanted: &'static str,
    },
    /// One tensor of a pair is missing, or has the wrong type or shape.
    #[error("{}: `{name}`: {problem}", path.display())]
    Pair {
        /// The file.
        path: PathBuf,
        /// The weight.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A record of a legacy file is cut off or impossible.
    #[error("{}: entry {number} of {count}: {problem}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Entry, from 1.
        number: usize,
        /// Entries the file says it has.
        count: usize,
        /// What is wrong.
        problem: String,
    },
    /// Two matrices are of different models.
    #[error("`{name}` has {what} {left} in one matrix and {right} in another: they are not of the same model")]
    Merge {
        /// The weight.
        name: String,
        /// What differs.
        what: &'static str,
        /// There.
        left: usize,
        /// Here.
        right: usize,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A sum is infinite or not a number.
    #[error("{}: `{name}` holds {found}, which is not a finite number", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The weight.
        name: String,
        /// The value.
        found: f32,
    },
}
