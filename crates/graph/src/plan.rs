//! The memory plan: where each value of a graph lives at the largest step.
//!
//! Compiled once per placement. Values share memory when their lifetimes do not overlap; the total is known before
//! anything is loaded. A view (`slice`) lives inside the value it looks at.

use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::shape::Shape;

/// Alignment of every buffer, in bytes: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// The largest step a plan allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepLimits {
    /// Tokens in one step.
    pub tokens: usize,
    /// Rows with logits in one step.
    pub outputs: usize,
}

/// Place of a value in the scratch arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First element, counted in F32 from the start of the arena.
    pub offset: usize,
    /// Elements between the starts of two rows.
    pub stride: usize,
    /// Shape of the value.
    pub shape: Shape,
}

/// Where every value lives.
#[derive(Clone, Debug)]
pub struct Plan {
    places: Vec<Place>,
    arena_elements: usize,
}

impl Plan {
    /// Lays out a graph for steps up to `limits`: first fit over the lifetimes, in order of creation.
    pub fn new(graph: &Graph, limits: StepLimits) -> Plan {
        let roots = roots(graph);
        let last_use = last_uses(graph, &roots);
        let mut places: Vec<Option<Place>> = vec![None; graph.value_count()];
        let mut live: Vec<(usize, usize, usize)> = Vec::new(); // (offset, size, last use), sorted by offset
        let mut arena_elements = 0;
        for (index, node) in graph.nodes().iter().enumerate() {
            let shape = graph.shape(node.output);
            if let Op::Slice(slice) = &node.op {
                let base = places[node.inputs[0].0 as usize].expect("inputs are made by earlier nodes");
                places[node.output.0 as usize] =
                    Some(Place { offset: base.offset + slice.start, stride: base.stride, shape });
                continue;
            }
            live.retain(|&(_, _, last)| last >= index);
            let rows = shape.rows.count(limits.tokens, limits.outputs);
            let size = round_up(rows * shape.width, ALIGNMENT / 4).max(ALIGNMENT / 4);
            let mut offset = 0;
            let mut slot = live.len();
            for (i, &(start, length, _)) in live.iter().enumerate() {
                if start >= offset + size {
                    slot = i;
                    break;
                }
                offset = offset.max(start + length);
            }
            live.insert(slot, (offset, size, last_use[node.output.0 as usize]));
            arena_elements = arena_elements.max(offset + size);
            places[node.output.0 as usize] = Some(Place { offset, stride: shape.width, shape });
        }
        let places = places.into_iter().map(|p| p.expect("every value is made by a node")).collect();
        Plan { places, arena_elements }
    }

    /// Place of a value.
    pub fn place(&self, value: ValueId) -> Place {
        self.places[value.0 as usize]
    }

    /// F32 elements of the arena.
    pub fn arena_elements(&self) -> usize {
        self.arena_elements
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        self.arena_elements * 4
    }
}

/// The value whose memory each value lives in: itself, or the base of a chain of views.
fn roots(graph: &Graph) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..graph.value_count()).collect();
    for node in graph.nodes() {
        if let Op::Slice(_) = node.op {
            roots[node.output.0 as usize] = roots[node.inputs[0].0 as usize];
        }
    }
    roots
}

/// Index of the last node that reads each root value; outputs live to the end.
fn last_uses(graph: &Graph, roots: &[usize]) -> Vec<usize> {
    let mut last = vec![0; graph.value_count()];
    for (index, node) in graph.nodes().iter().enumerate() {
        last[node.output.0 as usize] = last[node.output.0 as usize].max(index);
        for input in &node.inputs {
            last[roots[input.0 as usize]] = index;
        }
    }
    for output in graph.outputs() {
        last[roots[output.0 as usize]] = graph.nodes().len();
    }
    last
}

fn round_up(value: usize, to: usize) -> usize {
    value.div_ceil(to) * to
}
