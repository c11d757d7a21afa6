//! Adapters: whether every tensor has its partner. The model they belong to is not there to be asked.

use ascua_gguf::Gguf;
use ascua_models::adapter::problem;

use super::Finding;

pub(super) fn check(gguf: &Gguf, findings: &mut Vec<Finding>) {
    findings.extend(problem(gguf).map(|problem| Finding::error("adapter", format!("the adapter: {problem}"))));
}
