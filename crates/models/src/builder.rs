//! Records the graph while it takes tensors out of the file's catalogue by name.
//!
//! Invariant: each tensor has the shape the block that uses it states; in the end every tensor was used, of the file and of
//! the adapters.

use std::collections::HashSet;

use ascua_gguf::TensorType;
use ascua_graph::{Graph, Op, StateId, StateSpec, ValueId, WeightId};

use crate::adapter::{Adapter, AdapterProblem, LowRank, graph_name};
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

    /// The adapters that stand beside the file's weights.
    fn adapters(&self) -> &[Adapter] {
        &[]
    }
}

/// Whether a block can do without a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Necessity {
    /// It cannot.
    Required,
    /// It can.
    Optional,
}

/// What an adapter adds beside a weight: `factor * up (down x)`.
#[derive(Clone, Copy, Debug)]
pub struct LowRankPair {
    /// The matrix to the rank.
    pub down: WeightId,
    /// The matrix from the rank.
    pub up: WeightId,
    /// Factor on the product.
    pub factor: f32,
}

/// Records a model.
pub struct GraphBuilder<'a> {
    graph: Graph,
    catalogue: &'a dyn TensorCatalogue,
    used: HashSet<String>,
    /// Number of the adapter, and the weight.
    adapted: HashSet<(usize, String)>,
}

impl<'a> GraphBuilder<'a> {
    /// A builder over the tensors of `catalogue`.
    pub fn new(catalogue: &'a dyn TensorCatalogue) -> GraphBuilder<'a> {
        GraphBuilder { graph: Graph::new(), catalogue, used: HashSet::new(), adapted: HashSet::new() }
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

    /// What the adapters add to products with `weight`, of shape `[columns, rows]` or `[columns, rows, experts]`.
    ///
    /// # Errors
    /// A matrix of an adapter has another shape than goes with the weight.
    pub fn low_rank(&mut self, weight: &str, shape: &[usize]) -> Result<Vec<LowRankPair>, ModelError> {
        let (columns, rest) = shape.split_first().map_or((1, shape), |(&columns, rest)| (columns, rest));
        self.pairs(weight, |rank| {
            let mut shapes = [vec![columns, rank], [&[rank], rest].concat()];
            shapes[0].extend(rest.iter().skip(1)); // the number of experts
            shapes
        })
    }

    /// What the adapters add to the rows of a table, `[width, count]`, that are looked up: `down` is a table too.
    ///
    /// # Errors
    /// As [`GraphBuilder::low_rank`].
    pub fn low_rank_table(
        &mut self,
        table: &str,
        (width, count): (usize, usize),
    ) -> Result<Vec<LowRankPair>, ModelError> {
        self.pairs(table, |rank| [vec![rank, count], vec![rank, width]])
    }

    /// The pairs of a weight; `shapes` gives those of their matrices for a rank.
    fn pairs(
        &mut self,
        weight: &str,
        shapes: impl Fn(usize) -> [Vec<usize>; 2],
    ) -> Result<Vec<LowRankPair>, ModelError> {
        let mut pairs = Vec::new();
        for (number, adapter) in self.catalogue.adapters().iter().enumerate() {
            let Some(found) = adapter.low_rank(weight) else { continue };
            let LowRank { down, up, factor } = found;
            let [of_down, of_up] = shapes(found.rank());
            for (tensor, expected) in [(down, &of_down), (up, &of_up)] {
                if !same_shape(&tensor.shape, expected) {
                    let (tensor, found, expected) = (tensor.name.clone(), tensor.shape.clone(), expected.clone());
                    return Err(adapter.error(AdapterProblem::Shape { tensor, found, expected }).into());
                }
            }
            let down = self.graph.weight(&graph_name(number, down), &of_down, down.tensor_type);
            let up = self.graph.weight(&graph_name(number, up), &of_up, up.tensor_type);
            self.adapted.insert((number, weight.to_owned()));
            pairs.push(LowRankPair { down, up, factor });
        }
        Ok(pairs)
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
        if !same_shape(&found, shape) {
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
    /// The file, or an adapter, has tensors that no block used.
    pub fn finish(mut self, output: ValueId, architecture: &str) -> Result<Graph, ModelError> {
        let surplus: Vec<String> = self.catalogue.names().into_iter().filter(|n| !self.used.contains(n)).collect();
        if let Some(first) = surplus.first() {
            return Err(ModelError::SurplusTensors {
                architecture: architecture.to_owned(),
                count: surplus.len(),
                first: first.clone(),
            });
        }
        for (number, adapter) in self.catalogue.adapters().iter().enumerate() {
            let is_unused = |weight: &str| !self.adapted.contains(&(number, weight.to_owned()));
            let mut unused = adapter.tensors().filter(|(weight, _)| is_unused(weight)).map(|(_, tensor)| &tensor.name);
            if let Some(first) = unused.next() {
                let problem = AdapterProblem::Unused { first: first.clone(), count: 1 + unused.count() };
                return Err(adapter.error(problem).into());
            }
        }
        self.graph.set_output(output);
        Ok(self.graph)
    }
}

/// Whether two shapes are the same: trailing dimensions of one are not written by every tool.
fn same_shape(found: &[u64], expected: &[usize]) -> bool {
    let size =
        |place: usize| (found.get(place).copied().unwrap_or(1), expected.get(place).map_or(1, |&size| size as u64));
    (0..found.len().max(expected.len())).map(size).all(|(found, expected)| found == expected)
}
