//! Records the graph while it takes tensors out of the file's catalogue by name.
//!
//! Invariant: each tensor has the shape the block that uses it states; in the end every tensor was used.

use std::collections::HashSet;

use ascua_gguf::TensorType;
use ascua_graph::{Graph, Op, StateId, StateSpec, ValueId, WeightId};

use crate::error::ModelError;

/// The tensors there are: a file's, or all that could be (to list what an architecture wants).
pub trait TensorCatalogue {
    /// Shape (fastest dimension first) and type of a tensor. `shape` is what the architecture expects, `required`
    /// whether it cannot do without; a catalogue that stands for "all there could be" answers from them.
    fn find(&self, name: &str, shape: &[usize], necessity: Necessity) -> Option<(Vec<u64>, TensorType)>;

    /// The numbers of a small F32 tensor that become part of the graph (rotary factors).
    fn floats(&self, name: &str) -> Option<Vec<f32>>;

    /// All names in the file.
    fn names(&self) -> Vec<String>;
}

/// Whether a block can do without a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Necessity {
    /// It cannot.
    Required,
    /// It can.
    Optional,
}

/// Records a model.
pub struct GraphBuilder<'a> {
    graph: Graph,
    catalogue: &'a dyn TensorCatalogue,
    used: HashSet<String>,
}

impl<'a> GraphBuilder<'a> {
    /// A builder over the tensors of `catalogue`.
    pub fn new(catalogue: &'a dyn TensorCatalogue) -> GraphBuilder<'a> {
        GraphBuilder { graph: Graph::new(), catalogue, used: HashSet::new() }
    }

    /// A tensor the block cannot do without.
    ///
    /// # Errors
    /// It is missing or has another shape.
    pub fn required(&mut self, name: &str, shape: &[usize]) -> Result<WeightId, ModelError> {
        self.find(name, shape, Necessity::Required)?.ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })
    }

    /// A tensor the block can do without.
    ///
    /// # Errors
    /// It has another shape.
    pub fn optional(&mut self, name: &str, shape: &[usize]) -> Result<Option<WeightId>, ModelError> {
        self.find(name, shape, Necessity::Optional)
    }

    /// Whether the file has a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.catalogue.find(name, &[], Necessity::Optional).is_some()
    }

    /// A small F32 tensor whose numbers become part of the graph.
    pub fn floats(&mut self, name: &str) -> Option<Vec<f32>> {
        let floats = self.catalogue.floats(name)?;
        self.used.insert(name.to_owned());
        Some(floats)
    }

    /// Says that a tensor may be there and is knowingly not used.
    pub fn ignore(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    fn find(&mut self, name: &str, shape: &[usize], necessity: Necessity) -> Result<Option<WeightId>, ModelError> {
        let Some((found, tensor_type)) = self.catalogue.find(name, shape, necessity) else { return Ok(None) };
        // Trailing dimensions of one are not written by every tool.
        let trim = |dims: Vec<u64>| {
            let kept = dims.iter().rposition(|&d| d != 1).map_or(1, |last| last + 1);
            dims[..kept.min(dims.len())].to_vec()
        };
        if trim(found.clone()) != trim(shape.iter().map(|&d| d as u64).collect()) {
            return Err(ModelError::TensorShape { name: name.to_owned(), found, expected: shape.to_vec() });
        }
        self.used.insert(name.to_owned());
        Ok(Some(self.graph.weight(name, shape, tensor_type)))
    }

    /// Records an operation.
    ///
    /// # Errors
    /// The inputs do not fit it.
    pub fn record(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, ModelError> {
        Ok(self.graph.record(op, inputs)?)
    }

    /// Declares a cache.
    pub fn state(&mut self, spec: StateSpec) -> StateId {
        self.graph.state(spec)
    }

    /// Ends the recording: `output` can be read after each step.
    ///
    /// # Errors
    /// The file has tensors that no block used.
    pub fn finish(mut self, output: ValueId, architecture: &str) -> Result<Graph, ModelError> {
        let surplus: Vec<String> = self.catalogue.names().into_iter().filter(|n| !self.used.contains(n)).collect();
        if let Some(first) = surplus.first() {
            return Err(ModelError::SurplusTensors {
                architecture: architecture.to_owned(),
                count: surplus.len(),
                first: first.clone(),
            });
        }
        self.graph.set_output(output);
        Ok(self.graph)
    }
}
