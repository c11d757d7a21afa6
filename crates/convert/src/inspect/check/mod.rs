//! Whether a model file is sound: its structure, its numbers, its tensors, its tokenizer.
//!
//! One file for each thing looked at; each gives findings, and none stops at the first.

mod adapter;
mod architecture;
mod keys;
mod structure;
mod tokenizer;
mod values;

use std::path::Path;

use ascua_gguf::GgufError;

use super::{Report, Stopped};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The model may work, and somebody should look.
    Warning,
    /// The file is damaged, or is not the model it says.
    Error,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, for scripts: `not_finite`, `missing_tensor` and so on.
    pub kind: &'static str,
    /// What is wrong, with the tensor or key it is about.
    pub message: String,
}

impl Finding {
    fn error(kind: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Error, kind, message: message.into() }
    }

    fn warning(kind: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, kind, message: message.into() }
    }
}

/// Why a file could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] GgufError),
    /// The caller asked to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What is wrong with the model at `path`; nothing where it is sound.
///
/// # Errors
/// The file cannot be read at all, or `report` asked to stop. A damaged file is a finding, not an error.
pub fn check(path: &Path, report: &mut Report<'_>) -> Result<Vec<Finding>, CheckError> {
    let mut findings = Vec::new();
    let Some(gguf) = structure::open(path, &mut findings)? else { return Ok(findings) };
    keys::check(&gguf, &mut findings);
    if ascua_models::adapter::is_adapter(&gguf) {
        adapter::check(&gguf, &mut findings);
    } else {
        architecture::check(&gguf, &mut findings);
        tokenizer::check(&gguf, &mut findings);
    }
    if gguf.has_data() {
        values::check(&gguf, &mut findings, report)?;
    }
    Ok(findings)
}
