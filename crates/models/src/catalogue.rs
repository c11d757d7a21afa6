//! The two catalogues of tensors: those of a file, and those an architecture would like to have.

use std::cell::RefCell;

use ascua_gguf::{Gguf, TensorType};

use crate::adapter::Adapter;
use crate::builder::{Necessity, TensorCatalogue};

/// Longest tensor of floats that becomes part of the graph.
const MAX_FLOATS: u64 = 1 << 16;

/// The tensors of a model file.
pub struct FileCatalogue<'a> {
    file: &'a Gguf,
    adapters: &'a [Adapter],
}

impl<'a> FileCatalogue<'a> {
    /// The tensors of `file`.
    pub fn new(file: &'a Gguf) -> FileCatalogue<'a> {
        FileCatalogue { file, adapters: &[] }
    }

    /// The same with adapters beside the weights.
    pub fn with_adapters(self, adapters: &'a [Adapter]) -> FileCatalogue<'a> {
        FileCatalogue { adapters, ..self }
    }
}

impl TensorCatalogue for FileCatalogue<'_> {
    fn find(&self, name: &str, _shape: &[usize], _necessity: Necessity) -> Option<(Vec<u64>, TensorType)> {
        self.file.tensor(name).map(|tensor| (tensor.shape.clone(), tensor.tensor_type))
    }

    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.file.tensor(name)?;
        if tensor.elements() > MAX_FLOATS {
            return None;
        }
        let mut values = vec![0.0; tensor.elements() as usize];
        ascua_quant::format(tensor.tensor_type).decode_row(&self.file.data(tensor), &mut values).ok()?;
        Some(values)
    }

    fn names(&self) -> Vec<String> {
        self.file.tensors().iter().map(|tensor| tensor.name.clone()).collect()
    }

    fn adapters(&self) -> &[Adapter] {
        self.adapters
    }
}

/// Answers every question for a required tensor and remembers it: the list of what an architecture wants.
#[derive(Default)]
pub struct WantedTensors {
    wanted: RefCell<Vec<(String, Vec<usize>)>>,
}

impl WantedTensors {
    /// An empty list.
    pub fn new() -> WantedTensors {
        WantedTensors::default()
    }

    /// Names and shapes of the tensors asked for so far.
    pub fn list(&self) -> Vec<(String, Vec<usize>)> {
        self.wanted.borrow().clone()
    }
}

impl TensorCatalogue for WantedTensors {
    fn find(&self, name: &str, shape: &[usize], necessity: Necessity) -> Option<(Vec<u64>, TensorType)> {
        if necessity == Necessity::Optional {
            return None;
        }
        let mut wanted = self.wanted.borrow_mut();
        if !wanted.iter().any(|(known, _)| known == name) {
            wanted.push((name.to_owned(), shape.to_vec()));
        }
        Some((shape.iter().map(|&d| d as u64).collect(), TensorType::F32))
    }

    fn floats(&self, _name: &str) -> Option<Vec<f32>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
