//! A file that was cut, such as a download that did not end.

use std::path::Path;

use ascua::gguf::{Gguf, GgufError, Malformed};

use crate::output;

/// The opened file, or its header alone where tensor data is missing, which is still something to be `done`.
pub fn or_header(path: &Path, opened: Result<Gguf, GgufError>, done: &str) -> anyhow::Result<Gguf> {
    match opened {
        Err(GgufError::Malformed { problem: problem @ Malformed::TensorPastEnd { .. }, .. }) => {
            output::warn(&format!("{problem}; the file was cut, only its header is {done}"));
            Ok(Gguf::open_header(path)?)
        }
        other => Ok(other?),
    }
}
