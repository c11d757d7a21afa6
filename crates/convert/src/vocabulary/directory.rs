//! The files of a checkpoint: read whole, within limits, errors with the file's name.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{Problem, VocabularyError};
use crate::bounded_file::{self, Unread};

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
        bounded_file::read(&self.path(name), LIMIT).map_err(|unread| match unread {
            Unread::Io(error) => self.fault(name, error),
            Unread::TooLong { found } => self.fault(name, Problem::Size { found, limit: LIMIT }),
        })
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
