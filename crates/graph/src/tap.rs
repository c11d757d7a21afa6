//! A pass that makes the inputs of products observable: the graph computes sums of squares instead of logits.
//!
//! Only what the sums need is kept, so the last product and, mostly, the logits fall away. Weights and states keep their
//! ids.

use crate::graph::{Graph, ValueId};
use crate::ops::{ExpertSquareSums, Op, SquareSums};
use crate::shape::ShapeError;
use crate::weights::WeightId;

/// A place where activations are observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The sums: a row for each matrix, `[columns + 1]`; the last element is the number of activations summed.
    pub value: ValueId,
    /// The weights whose products read these activations.
    pub weights: Vec<WeightId>,
    /// Activations in a row.
    pub columns: usize,
}

/// The graph that observes the products with weights that `wanted` accepts by name; the taps are its outputs.
///
/// # Errors
/// What records once records again; an error is a fault of an operation.
pub fn tapped(graph: &Graph, wanted: &dyn Fn(&str) -> bool) -> Result<(Graph, Vec<Tap>), ShapeError> {
    let observed = |op: &Op| product(op).filter(|&weight| wanted(&graph.weight_spec(weight).name));
    let mut needed = vec![false; graph.value_count()];
    for node in graph.nodes().iter().rev() {
        if needed[node.output.0 as usize] || observed(&node.op).is_some() {
            node.inputs.iter().for_each(|value| needed[value.0 as usize] = true);
        }
    }
    let mut with_taps = graph.without_nodes();
    let mut renamed: Vec<Option<ValueId>> = vec![None; graph.value_count()];
    let mut taps: Vec<Tap> = Vec::new();
    let mut read: Vec<&[ValueId]> = Vec::new();
    for node in graph.nodes() {
        let new = |value: &ValueId| renamed[value.0 as usize].expect("what is needed needs its inputs");
        if let Some(weight) = observed(&node.op) {
            match read.iter().position(|inputs| *inputs == node.inputs) {
                Some(tap) => taps[tap].weights.push(weight),
                None => {
                    let inputs: Vec<ValueId> = node.inputs.iter().map(new).collect();
                    let spec = graph.weight_spec(weight);
                    let value = match &node.op {
                        Op::ExpertMatMul(_) => with_taps.record(ExpertSquareSums { experts: spec.matrices() }, &inputs),
                        _ => with_taps.record(SquareSums, &inputs),
                    }?;
                    with_taps.set_output(value);
                    taps.push(Tap { value, weights: vec![weight], columns: spec.columns() });
                    read.push(&node.inputs);
                }
            }
        }
        if needed[node.output.0 as usize] {
            let inputs: Vec<ValueId> = node.inputs.iter().map(new).collect();
            renamed[node.output.0 as usize] = Some(with_taps.record(node.op.clone(), &inputs)?);
        }
    }
    Ok((with_taps, taps))
}

/// The matrix an operation multiplies with.
fn product(op: &Op) -> Option<WeightId> {
    match op {
        Op::MatMul(op) => Some(op.weight),
        Op::ExpertMatMul(op) => Some(op.weight),
        _ => None,
    }
}
