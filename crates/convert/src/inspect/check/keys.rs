//! The keys every model has.

use ascua_gguf::Gguf;

use super::Finding;
use crate::quantize::FileType;

/// Version of the block formats that files have today.
const QUANTIZATION_VERSION: u64 = 2;

pub(super) fn check(gguf: &Gguf, findings: &mut Vec<Finding>) {
    let metadata = gguf.metadata();
    if let Err(problem) = metadata.architecture() {
        findings.push(Finding::error("metadata", problem.to_string()));
    }
    let number = |key: &str, findings: &mut Vec<Finding>| match metadata.unsigned(key) {
        Ok(number) => number,
        Err(problem) => {
            findings.push(Finding::error("metadata", problem.to_string()));
            None
        }
    };
    let version = number("general.quantization_version", findings);
    let quantised = gguf.tensors().iter().find(|tensor| tensor.tensor_type.block_len() > 1);
    match (version, quantised) {
        (None, Some(tensor)) => findings.push(Finding::warning(
            "metadata",
            format!("tensor `{}` is quantised, but `general.quantization_version` is missing", tensor.name),
        )),
        (Some(found), Some(_)) if found != QUANTIZATION_VERSION => findings.push(Finding::error(
            "metadata",
            format!("`general.quantization_version` is {found}; blocks are read as version {QUANTIZATION_VERSION}"),
        )),
        _ => {}
    }
    if let Some(id) = number("general.file_type", findings)
        && !FileType::ALL.iter().any(|known| u64::from(known.id()) == id)
    {
        findings.push(Finding::warning("metadata", format!("`general.file_type` is {id}, which is no known type")));
    }
}
