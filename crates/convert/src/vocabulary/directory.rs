//! The files of a checkpoint: read whole, within limits, errors with the file's name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{Problem, VocabularyError};

/// The longest file that is read; the longest real `tokenizer.json` has 33 MB.
const LIMIT: u64 = 1 << 29;

/// A directory with tokenizer files.
pub(super) struct Directory<'a>(pub(super) &'a Path);

impl Directory<'_> {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// The bytes of a file, nothing where it does not exist.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, VocabularyError> {
        if !self.has(name) {
            return Ok(None);
        }
        let read = || {
            let mut bytes = Vec::new();
            let found = File::open(self.path(name))?.take(LIMIT + 1).read_to_end(&mut bytes)? as u64;
            if found > LIMIT {
                return Err(Problem::Size { found, limit: LIMIT });
            }
            Ok(bytes)
        };
        read().map(Some).map_err(|problem| self.fault(name, problem))
    }

    /// The text of a file.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, VocabularyError> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| self.fault(name, Problem::NotText { at: error.utf8_error().valid_up_to() }))
    }

    /// What a JSON file holds.
    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, VocabularyError> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.fault(name, error))
    }

    /// An error that names a file.
    pub(super) fn fault(&self, name: &str, problem: impl Into<Problem>) -> VocabularyError {
        VocabularyError::File { path: self.path(name), problem: problem.into() }
    }
}
