//! The graph: operations in the order they are recorded, values by number, weights by name.
//!
//! A model records it once; it is then only read. Invariant: a node's inputs were made by earlier nodes.

use std::fmt::Write as _;

use ascua_gguf::TensorType;

use crate::ops::{Op, OpDef};
use crate::shape::{Shape, ShapeError};
use crate::weights::{WeightId, WeightSpec};

/// Index of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// Index of a state (a cache that outlives the step) in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// Where a cache keeps the values that go with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedValues {
    /// Beside the keys.
    Own {
        /// Elements of a value head.
        size: usize,
    },
    /// They are the first elements of the keys (latent attention, DeepSeek-V2): nothing more is kept.
    KeyPrefix {
        /// Elements of a value head.
        size: usize,
    },
}

impl CachedValues {
    /// Elements of a value head.
    pub fn size(self) -> usize {
        match self {
            CachedValues::Own { size } | CachedValues::KeyPrefix { size } => size,
        }
    }
}

/// A cache that outlives the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateSpec {
    /// Keys and values of an attention, paged in blocks of tokens.
    KeyValue {
        /// Heads of the keys and values.
        kv_heads: usize,
        /// Elements of a key head.
        key_size: usize,
        /// Where the values are.
        values: CachedValues,
        /// Positions a query can look back, itself included; `None`: all.
        window: Option<usize>,
    },
    /// A state of fixed size for each sequence (recurrent layers), F32.
    Recurrent {
        /// Elements for one sequence.
        elements: usize,
    },
}

/// One recorded operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// Values read.
    pub inputs: Vec<ValueId>,
    /// Value made.
    pub output: ValueId,
}

/// A recorded model.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    values: Vec<Shape>,
    weights: Vec<WeightSpec>,
    states: Vec<StateSpec>,
    outputs: Vec<ValueId>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// A graph with the same weights and states, and nothing recorded.
    pub fn without_nodes(&self) -> Graph {
        Graph { weights: self.weights.clone(), states: self.states.clone(), ..Graph::default() }
    }

    /// Records an operation and returns its value.
    ///
    /// # Errors
    /// The operation cannot take these inputs.
    pub fn record(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, ShapeError> {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&v| self.shape(v)).collect();
        let shape = op.shape(&shapes, self)?;
        let output = ValueId(self.values.len() as u32);
        self.values.push(shape);
        self.nodes.push(Node { op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// Names a weight; the same name gives the same id.
    pub fn weight(&mut self, name: &str, shape: &[usize], tensor_type: TensorType) -> WeightId {
        if let Some(index) = self.weights.iter().position(|w| w.name == name) {
            return WeightId(index as u32);
        }
        self.weights.push(WeightSpec { name: name.to_owned(), shape: shape.to_vec(), tensor_type });
        WeightId(self.weights.len() as u32 - 1)
    }

    /// Declares a state.
    pub fn state(&mut self, spec: StateSpec) -> StateId {
        self.states.push(spec);
        StateId(self.states.len() as u32 - 1)
    }

    /// Marks a value as readable after the step.
    pub fn set_output(&mut self, value: ValueId) {
        self.outputs.push(value);
    }

    /// The recorded operations in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.values[value.0 as usize]
    }

    /// Number of values.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// All weights.
    pub fn weights(&self) -> &[WeightSpec] {
        &self.weights
    }

    /// One weight.
    pub fn weight_spec(&self, id: WeightId) -> &WeightSpec {
        &self.weights[id.0 as usize]
    }

    /// All states.
    pub fn states(&self) -> &[StateSpec] {
        &self.states
    }

    /// Values that can be read after the step.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The graph as text, a line a node; the form the passes are tested in.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            let inputs: Vec<String> = node.inputs.iter().map(|v| format!("%{}", v.0)).collect();
            let weights: Vec<&str> = node.op.weights().iter().map(|&w| self.weight_spec(w).name.as_str()).collect();
            let _ = write!(
                text,
                "%{} {} = {}({})",
                node.output.0,
                self.shape(node.output),
                node.op.name(),
                inputs.join(", ")
            );
            if !weights.is_empty() {
                let _ = write!(text, " <{}>", weights.join(", "));
            }
            text.push('\n');
        }
        text
    }
}
