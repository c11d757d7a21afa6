//! The bytes: whether the file can be read, and whether there is more in it than it says.

use std::path::Path;

use ascua_gguf::{Gguf, GgufError};

use super::Finding;

/// Opens the model; where only tensor data is wrong, its header alone.
pub(super) fn open(path: &Path, findings: &mut Vec<Finding>) -> Result<Option<Gguf>, GgufError> {
    match Gguf::open(path) {
        Ok(gguf) => {
            trailing(&gguf, findings);
            Ok(Some(gguf))
        }
        Err(error @ (GgufError::Io { .. } | GgufError::Directory { .. } | GgufError::NotRegular { .. })) => Err(error),
        Err(GgufError::Malformed { problem, .. }) => {
            findings.push(Finding::error("malformed", problem.to_string()));
            Ok(Gguf::open_header(path).ok())
        }
        Err(problem) => {
            findings.push(Finding::error("parts", problem.to_string()));
            Ok(None)
        }
    }
}

fn trailing(gguf: &Gguf, findings: &mut Vec<Finding>) {
    let end = gguf.tensors().iter().map(|tensor| tensor.start() + tensor.bytes()).max();
    let Some(end) = end.filter(|_| gguf.paths().len() == 1) else { return };
    let end = end.next_multiple_of(gguf.alignment());
    if gguf.file_bytes() > end {
        let more = gguf.file_bytes() - end;
        findings.push(Finding::warning("trailing_bytes", format!("{more} bytes follow the last tensor")));
    }
}
