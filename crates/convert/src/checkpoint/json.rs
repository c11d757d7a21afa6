//! JSON of a checkpoint: read whole, up to a limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::CheckpointError;

/// Largest file that is read as JSON. Tokenizers of half a million tokens and their merges have 40 MB.
pub const MAX_JSON_BYTES: u64 = 1 << 28;

/// Reads a file of JSON; `None` where there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CheckpointError> {
    let failed = |source| CheckpointError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        let found = std::fs::metadata(path).map_or(bytes.len() as u64, |metadata| metadata.len());
        return Err(CheckpointError::JsonSize { path: path.to_owned(), found, limit: MAX_JSON_BYTES });
    }
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| CheckpointError::Json { path: path.to_owned(), problem: error.to_string() })
}
