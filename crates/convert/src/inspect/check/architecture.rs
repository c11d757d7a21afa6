//! The tensors: whether they are those of the architecture, in its shapes.

use std::cell::RefCell;

use ascua_gguf::{Gguf, TensorType};
use ascua_models::{FileCatalogue, ModelConfig, ModelError, Necessity, TensorCatalogue, architectures, record};

use super::super::trimmed;
use super::Finding;

/// Tensors of one kind that are named; of a file without layers there would be thousands.
const NAMED: usize = 20;

/// The tensors of a file, with those that are missing made up, so that all of them are found.
struct Lenient<'a> {
    file: FileCatalogue<'a>,
    missing: RefCell<Vec<String>>,
    misshapen: RefCell<Vec<String>>,
}

impl TensorCatalogue for Lenient<'_> {
    fn find(&self, name: &str, shape: &[usize], necessity: Necessity) -> Option<(Vec<u64>, TensorType)> {
        let wanted: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
        let Some((found, tensor_type)) = self.file.find(name, shape, necessity) else {
            if necessity == Necessity::Optional {
                return None;
            }
            note(&self.missing, format!("tensor `{name}` is missing"));
            return Some((wanted, TensorType::F32));
        };
        // Without a shape it is only asked whether there is one of the name.
        if shape.is_empty() || trimmed(&found) == trimmed(&wanted) {
            return Some((found, tensor_type));
        }
        note(&self.misshapen, format!("tensor `{name}` has shape {found:?}, its architecture wants {wanted:?}"));
        Some((wanted, tensor_type))
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.file.floats(name)
    }

    fn names(&self) -> Vec<String> {
        self.file.names()
    }
}

fn note(list: &RefCell<Vec<String>>, message: String) {
    let mut list = list.borrow_mut();
    if !list.contains(&message) {
        list.push(message);
    }
}

pub(super) fn check(gguf: &Gguf, findings: &mut Vec<Finding>) {
    let Ok(name) = gguf.metadata().architecture() else { return };
    let architecture = match architectures::find(name) {
        Ok(architecture) => architecture,
        Err(_) => {
            let message = format!("architecture `{name}` is not known here: its tensors were not compared with a list");
            findings.push(Finding::warning("unknown_architecture", message));
            return;
        }
    };
    let vocabulary = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.shape.get(1).copied()).unwrap_or(0);
    let config = match ModelConfig::read(gguf.metadata(), vocabulary as usize) {
        Ok(config) => config,
        Err(problem) => {
            findings.push(Finding::error("metadata", problem.to_string()));
            return;
        }
    };
    let catalogue =
        Lenient { file: FileCatalogue::new(gguf), missing: RefCell::default(), misshapen: RefCell::default() };
    let recorded = record(architecture, &config, &catalogue);
    add(findings, "missing_tensor", catalogue.missing.into_inner());
    add(findings, "tensor_shape", catalogue.misshapen.into_inner());
    match recorded {
        Ok(_) => {}
        Err(problem @ ModelError::SurplusTensors { .. }) => {
            findings.push(Finding::error("surplus_tensor", problem.to_string()));
        }
        Err(problem) => findings.push(Finding::error("architecture", problem.to_string())),
    }
}

fn add(findings: &mut Vec<Finding>, kind: &'static str, messages: Vec<String>) {
    let more = messages.len().saturating_sub(NAMED);
    findings.extend(messages.into_iter().take(NAMED).map(|message| Finding::error(kind, message)));
    if more > 0 {
        findings.push(Finding::error(kind, format!("so it is with {more} more tensors")));
    }
}
