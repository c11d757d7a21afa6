//! Activations observed over steps: for each product, the squares of what entered it, summed by column.

use ascua_graph::{Graph, Program, Tap};

/// Which products' inputs an engine observes. One that observes gives no logits: it does not compute them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Observe {
    /// None: the engine gives logits.
    #[default]
    Nothing,
    /// Those of the layers.
    Layers,
    /// Those of the layers, and of the output where it has a matrix of its own.
    LayersAndOutput,
}

impl Observe {
    /// Whether the product with a weight is observed.
    pub(crate) fn wants(self, weight: &str) -> bool {
        let layers = weight.starts_with("blk.");
        match self {
            Observe::Nothing => false,
            Observe::Layers => layers,
            Observe::LayersAndOutput => layers || weight == "output.weight",
        }
    }
}

/// What entered the products with some weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationSums {
    /// The weights; they read the same activations.
    pub weights: Vec<String>,
    /// Sums of squares, `[matrices, columns]`.
    pub sums: Vec<f64>,
    /// Activations summed, `[matrices]`: several matrices are experts, which see different tokens.
    pub counts: Vec<u64>,
}

/// The taps of a graph and their sums so far.
pub(crate) struct Observer {
    taps: Vec<Tap>,
    pub(crate) activations: Vec<ActivationSums>,
}

impl Observer {
    pub(crate) fn new(graph: &Graph, taps: Vec<Tap>) -> Observer {
        let empty = |tap: &Tap| {
            let matrices = graph.shape(tap.value).rows.count(0, 0);
            ActivationSums {
                weights: tap.weights.iter().map(|&weight| graph.weight_spec(weight).name.clone()).collect(),
                sums: vec![0.0; matrices * tap.columns],
                counts: vec![0; matrices],
            }
        };
        Observer { activations: taps.iter().map(empty).collect(), taps }
    }

    /// Adds the sums of the step that was just run.
    pub(crate) fn add(&mut self, program: &dyn Program) {
        for (tap, total) in self.taps.iter().zip(&mut self.activations) {
            let rows = program.read(tap.value).chunks_exact(tap.columns + 1);
            for ((row, sums), count) in rows.zip(total.sums.chunks_exact_mut(tap.columns)).zip(&mut total.counts) {
                sums.iter_mut().zip(row).for_each(|(sum, &step)| *sum += f64::from(step));
                *count += row[tap.columns] as u64;
            }
        }
    }
}
