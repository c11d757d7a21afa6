//! Importance matrices: how large the activations are that each column of a weight meets.
//!
//! [`ImportanceMatrix`] is what a file holds, whatever its format: sums of squared activations for each weight, and how
//! many activations were summed. Files of several texts are [merged](ImportanceMatrix::merge). The quantiser asks for [`Entry::means`]. Files come in two formats: GGUF with a pair
//! of tensors for each weight ([`gguf`]) and the older stream of records ([`legacy`]).
//!
//! Source of both formats: llama.cpp, `common/imatrix-loader.cpp` and `tools/imatrix`.

mod error;
mod gguf;
mod legacy;
mod merge;
mod statistics;

use std::collections::BTreeMap;
use std::path::Path;

use ascua_gguf::WriteError;

pub use error::ImatrixError;
pub use statistics::{LayerStatistics, TensorStatistics};

/// The contents of an importance-matrix file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportanceMatrix {
    /// What is known of each weight, by the weight's name.
    pub entries: BTreeMap<String, Entry>,
    /// The texts it was collected on.
    pub datasets: Vec<String>,
    /// Pieces of text it was collected on.
    pub chunk_count: u32,
    /// Tokens in a piece; 0 where the file does not say.
    pub chunk_size: u32,
}

/// The formats of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImatrixFormat {
    /// GGUF: sums and counts as they are.
    Gguf,
    /// The older stream of records: means only, and one dataset.
    Legacy,
}

/// What is known of one weight.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Sums of squared activations: one for each column, and for each matrix where there are several (experts).
    pub sums: Vec<f32>,
    /// Activations summed, for each matrix: `sums.len()` is a multiple of `counts.len()`.
    ///
    /// A legacy file counts pieces of text instead, and its sums are of each piece's mean: the quotient is the same.
    pub counts: Vec<u64>,
}

impl ImportanceMatrix {
    /// Reads a file of either format.
    pub fn open(path: impl AsRef<Path>) -> Result<ImportanceMatrix, ImatrixError> {
        let path = path.as_ref();
        let mut magic = [0; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut magic));
        read.map_err(|source| ImatrixError::Io { path: path.to_owned(), source })?;
        let matrix = if magic == *b"GGUF" { gguf::read(path) } else { legacy::read(path) }?;
        if matrix.entries.is_empty() {
            return Err(ImatrixError::Empty { path: path.to_owned() });
        }
        for (name, entry) in &matrix.entries {
            if let Some(found) = entry.sums.iter().find(|sum| !sum.is_finite()) {
                return Err(ImatrixError::NotFinite { path: path.to_owned(), name: name.clone(), found: *found });
            }
        }
        Ok(matrix)
    }

    /// Writes a file, which appears whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: impl AsRef<Path>, format: ImatrixFormat) -> Result<(), ImatrixError> {
        let path = path.as_ref();
        match format {
            ImatrixFormat::Gguf => Ok(gguf::write(self, path)?),
            ImatrixFormat::Legacy => legacy::write(self, path)
                .map_err(|source| ImatrixError::Write(WriteError::File { path: path.to_owned(), source })),
        }
    }
}

impl Entry {
    /// The mean squared activation of each column; 1 for a matrix nothing was counted for.
    pub fn means(&self) -> Vec<f32> {
        let columns = self.sums.len() / self.counts.len().max(1);
        let mut means = self.sums.clone();
        for (means, &count) in means.chunks_mut(columns.max(1)).zip(&self.counts) {
            for mean in means {
                *mean = if count == 0 { 1.0 } else { *mean / count as f32 };
            }
        }
        means
    }
}
