//! JSON of a checkpoint: read whole, up to a limit.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::CheckpointError;
use crate::bounded_file::{self, Unread};

/// Largest file that is read as JSON. Tokenizers of half a million tokens and their merges have 40 MB.
pub const MAX_JSON_BYTES: u64 = 1 << 28;

/// Reads a file of JSON; `None` where there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CheckpointError> {
    let bytes = match bounded_file::read(path, MAX_JSON_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(Unread::Io(source)) => return Err(CheckpointError::Io { path: path.to_owned(), source }),
        Err(Unread::TooLong { found }) => {
            return Err(CheckpointError::JsonSize { path: path.to_owned(), found, limit: MAX_JSON_BYTES });
        }
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| CheckpointError::Json { path: path.to_owned(), problem: error.to_string() })
}
