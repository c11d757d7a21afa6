//! Whether a file may be written at a path: not over what is there unless asked for, never over what is read.

use std::path::{Path, PathBuf};

/// What may happen to files that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing: it is an error.
    Never,
    /// They are replaced.
    Replace,
}

/// A path at which nothing may be written.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is a file already.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The output is the input.
    #[error("{} is the input too", path.display())]
    Same {
        /// The file.
        path: PathBuf,
    },
}

/// Refuses to write at `target` where it is one of `inputs`, or exists and is not to be replaced.
pub fn check_target(
    target: &Path,
    inputs: impl IntoIterator<Item = impl AsRef<Path>>,
    overwrite: Overwrite,
) -> Result<(), TargetError> {
    let Ok(there) = target.canonicalize() else { return Ok(()) };
    if inputs.into_iter().any(|path| path.as_ref().canonicalize().is_ok_and(|path| path == there)) {
        return Err(TargetError::Same { path: target.to_owned() });
    }
    // A device is written to, not replaced.
    if overwrite == Overwrite::Never && target.is_file() {
        return Err(TargetError::Exists { path: target.to_owned() });
    }
    Ok(())
}
