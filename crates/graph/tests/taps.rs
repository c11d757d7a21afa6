//! Observed activations: the sums are those of plain loops, of the wanted products only, however the tokens are cut;
//! and nothing is computed that the sums do not need.

use ascua_gguf::{TensorData, TensorType};
use ascua_graph::ops::{Embedding, ExpertCombine, ExpertMatMul, Gating, MatMul, Normalise, OpDef, Route};
use ascua_graph::{
    CacheSpec, CompileOptions, Device, Graph, Precision, ReferenceDevice, Run, StepInputs, StepLimits, WeightSource,
    tapped,
};

const WIDTH: usize = 4;
const INNER: usize = 3;
const EXPERTS: usize = 3;
const VOCABULARY: usize = 7;

/// A table, two products of one input, a mixture of the second's answer, and logits.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let weight = |graph: &mut Graph, name: &str, shape: &[usize]| graph.weight(name, shape, TensorType::F32);
    let table = weight(&mut graph, "table", &[WIDTH, VOCABULARY]);
    let x = graph.record(Embedding { weight: table }, &[]).unwrap();
    let router = weight(&mut graph, "blk.router", &[WIDTH, EXPERTS]);
    let up = weight(&mut graph, "blk.up", &[WIDTH, INNER, EXPERTS]);
    let down = weight(&mut graph, "blk.down", &[INNER, WIDTH, EXPERTS]);
    let side = weight(&mut graph, "blk.side", &[WIDTH, WIDTH]);
    let output = weight(&mut graph, "output", &[WIDTH, VOCABULARY]);
    let route = Route { experts: EXPERTS, used: 2, gating: Gating::Softmax, normalise: Normalise::Keep, scale: 1.0 };
    let logits = graph.record(MatMul::new(router), &[x]).unwrap();
    graph.record(MatMul::new(side), &[x]).unwrap();
    let route = graph.record(route, &[logits]).unwrap();
    let up = graph.record(ExpertMatMul { weight: up, scale: None }, &[x, route]).unwrap();
    let down = graph.record(ExpertMatMul { weight: down, scale: None }, &[up, route]).unwrap();
    let y = graph.record(ExpertCombine, &[down, route]).unwrap();
    let logits = graph.record(MatMul::new(output), &[y]).unwrap();
    graph.set_output(logits);
    graph
}

fn weights(graph: &Graph) -> Vec<WeightSource> {
    let mut state = 7u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let source = |spec: &ascua_graph::WeightSpec| {
        let bytes: Vec<u8> = (0..spec.elements()).flat_map(|_| number().to_le_bytes()).collect();
        WeightSource { spec: spec.clone(), data: TensorData::from(bytes) }
    };
    graph.weights().iter().map(source).collect()
}

/// All outputs after each of the steps.
fn run(graph: &Graph, steps: &[&[u32]]) -> Vec<Vec<f32>> {
    let cache =
        CacheSpec { blocks: 1, block_tokens: 64, key_type: TensorType::F32, value_type: TensorType::F32, slots: 1 };
    let limits = StepLimits { tokens: 16, outputs: 16 };
    let options = CompileOptions { limits, cache, precision: Precision::Exact };
    let mut program = ReferenceDevice.compile(graph, weights(graph), &options).unwrap();
    let mut found = Vec::new();
    for tokens in steps {
        let positions: Vec<u32> = (0..tokens.len() as u32).collect();
        let runs = [Run { tokens: 0..tokens.len(), first_position: 0, blocks: &[0], slot: 0 }];
        program.run(&StepInputs { tokens, positions: &positions, runs: &runs, outputs: &positions }).unwrap();
        found.extend(graph.outputs().iter().map(|&value| program.read(value).to_vec()));
    }
    found
}

#[test]
fn sums_are_those_of_plain_loops() {
    let plain = {
        // The same graph with the inputs of its products as outputs.
        let mut graph = graph();
        let read: Vec<_> = graph.nodes().iter().filter(|node| node.op.name().ends_with("matmul")).cloned().collect();
        read.iter().flat_map(|node| node.inputs.clone()).for_each(|value| graph.set_output(value));
        graph
    };
    let tokens: &[u32] = &[1, 5, 2, 6, 0];
    let values = run(&plain, &[tokens]);
    // After the logits: router(x), side(x), up(x, route), down(inner, route), output(y).
    let (x, route, inner) = (&values[1], &values[4], &values[5]);

    let (observing, taps) = tapped(&graph(), &|name| name.starts_with("blk.")).unwrap();
    let found = run(&observing, &[tokens]);
    let named = |tap: usize| -> Vec<&str> {
        taps[tap].weights.iter().map(|&weight| observing.weight_spec(weight).name.as_str()).collect()
    };
    assert_eq!((named(0), named(1), named(2)), (vec!["blk.router", "blk.side"], vec!["blk.up"], vec!["blk.down"]));

    let mut wanted = vec![vec![0.0; WIDTH + 1], vec![0.0; EXPERTS * (WIDTH + 1)], vec![0.0; EXPERTS * (INNER + 1)]];
    let add = |row: &mut [f32], x: &[f32]| {
        row.iter_mut().zip(x).for_each(|(sum, x)| *sum += x * x);
        row[x.len()] += 1.0;
    };
    for token in 0..tokens.len() {
        let x = &x[token * WIDTH..][..WIDTH];
        add(&mut wanted[0], x);
        for slot in 0..2 {
            let expert = route[token * 4 + slot] as usize;
            add(&mut wanted[1][expert * (WIDTH + 1)..][..WIDTH + 1], x);
            let inner = &inner[(token * 2 + slot) * INNER..][..INNER];
            add(&mut wanted[2][expert * (INNER + 1)..][..INNER + 1], inner);
        }
    }
    assert_eq!(found, wanted);
}

#[test]
fn nothing_is_computed_that_no_sum_needs() {
    let names = |wanted: &dyn Fn(&str) -> bool| {
        let (graph, _) = tapped(&graph(), wanted).unwrap();
        graph.nodes().iter().map(|node| node.op.name()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&|name| name == "blk.side"), "embedding square_sums");
    assert_eq!(
        names(&|name| name == "blk.down"),
        "embedding matmul route expert_matmul expert_square_sums",
        "the product itself is not needed"
    );
    assert_eq!(names(&|_| false), "");
}

#[test]
fn steps_add_up() {
    let (graph, _) = tapped(&graph(), &|_| true).unwrap();
    let whole = run(&graph, &[&[1, 5, 2, 6, 0]]);
    let parts = run(&graph, &[&[1, 5], &[2, 6, 0]]);
    let taps = whole.len();
    for (tap, whole) in whole.iter().enumerate() {
        for (index, whole) in whole.iter().enumerate() {
            let sum = parts[tap][index] + parts[taps + tap][index];
            assert!((sum - whole).abs() <= 1e-5 * whole.abs(), "tap {tap}, element {index}: {sum} and {whole}");
        }
    }
}
