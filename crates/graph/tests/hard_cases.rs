//! The hard cases of the design, proven on paper: sliding windows, mixtures, recurrent state and latent attention are
//! recorded as small graphs, planned on the null device, and give the same numbers however their tokens are cut.

use ascua_gguf::TensorType;
use ascua_graph::null::NullDevice;
use ascua_graph::ops::{
    Add, Attention, Embedding, ExpertCombine, ExpertMatMul, Gating, MatMul, Normalise, Route, SelectiveScan,
    ShortConvolution, Slice,
};
use ascua_graph::{
    CacheSpec, CachedValues, CompileOptions, Device, Graph, Plan, Precision, Program, ReferenceDevice, Run, StateSpec,
    StepInputs, StepLimits, ValueId, WeightId, WeightSource,
};

const WIDTH: usize = 8;
const VOCABULARY: usize = 11;
const TOKENS: usize = 12;
const BLOCK_TOKENS: usize = 4;

fn options() -> CompileOptions {
    CompileOptions {
        limits: StepLimits { tokens: 2 * TOKENS, outputs: 2 * TOKENS },
        cache: CacheSpec {
            blocks: 8,
            block_tokens: BLOCK_TOKENS,
            key_type: TensorType::F32,
            value_type: TensorType::F32,
            slots: 2,
        },
        precision: Precision::Exact,
    }
}

fn weight(graph: &mut Graph, name: &str, shape: &[usize]) -> WeightId {
    graph.weight(name, shape, TensorType::F32)
}

fn linear(graph: &mut Graph, name: &str, (columns, rows): (usize, usize), x: ValueId) -> ValueId {
    let weight = weight(graph, name, &[columns, rows]);
    graph.record(MatMul::new(weight), &[x]).expect("the widths fit")
}

fn embedded() -> (Graph, ValueId) {
    let mut graph = Graph::new();
    let table = weight(&mut graph, "table", &[WIDTH, VOCABULARY]);
    let x = graph.record(Embedding { weight: table }, &[]).expect("no inputs");
    (graph, x)
}

/// Attention over the last three positions.
fn sliding_window() -> Graph {
    let (mut graph, x) = embedded();
    let values = CachedValues::Own { size: WIDTH / 2 };
    let state = graph.state(StateSpec::KeyValue { kv_heads: 1, key_size: WIDTH / 2, values, window: Some(3) });
    let q = linear(&mut graph, "q", (WIDTH, WIDTH), x);
    let k = linear(&mut graph, "k", (WIDTH, WIDTH / 2), x);
    let v = linear(&mut graph, "v", (WIDTH, WIDTH / 2), x);
    let op = Attention { state, heads: 2, scale: 0.5, softcap: None, alibi_max_bias: None };
    let y = graph.record(op, &[q, k, v]).expect("the widths fit");
    graph.set_output(y);
    graph
}

/// Latent attention: one shared key of latent and rotary part; the values are its latent part.
fn latent_attention() -> Graph {
    let (mut graph, x) = embedded();
    let values = CachedValues::KeyPrefix { size: 4 };
    let state = graph.state(StateSpec::KeyValue { kv_heads: 1, key_size: 6, values, window: None });
    let q = linear(&mut graph, "q", (WIDTH, 2 * 6), x);
    let k = linear(&mut graph, "k", (WIDTH, 6), x);
    let op = Attention { state, heads: 2, scale: 0.5, softcap: None, alibi_max_bias: None };
    let y = graph.record(op, &[q, k]).expect("the widths fit");
    let y = linear(&mut graph, "o", (2 * 4, WIDTH), y);
    graph.set_output(y);
    graph
}

/// Two of four experts a token, and the residual.
fn mixture() -> Graph {
    let (mut graph, x) = embedded();
    let logits = linear(&mut graph, "router", (WIDTH, 4), x);
    let route = Route { experts: 4, used: 2, gating: Gating::Softmax, normalise: Normalise::SumToOne, scale: 1.0 };
    let route = graph.record(route, &[logits]).expect("the widths fit");
    let up = weight(&mut graph, "up", &[WIDTH, 6, 4]);
    let down = weight(&mut graph, "down", &[6, WIDTH, 4]);
    let y = graph.record(ExpertMatMul { weight: up, scale: None }, &[x, route]).expect("the widths fit");
    let y = graph.record(ExpertMatMul { weight: down, scale: None }, &[y, route]).expect("the widths fit");
    let y = graph.record(ExpertCombine, &[y, route]).expect("the widths fit");
    let y = graph.record(Add, &[x, y]).expect("the shapes are equal");
    graph.set_output(y);
    graph
}

/// Mamba's core: short convolution and selective scan, each with a state of fixed size.
fn recurrent() -> Graph {
    let (mut graph, x) = embedded();
    let (kernel, size) = (4, 3);
    let past = graph.state(StateSpec::Recurrent { elements: (kernel - 1) * WIDTH });
    let state = graph.state(StateSpec::Recurrent { elements: WIDTH * size });
    let filter = weight(&mut graph, "filter", &[kernel, WIDTH]);
    let x = graph.record(ShortConvolution { weight: filter, bias: None, state: past }, &[x]).expect("it fits");
    let all = linear(&mut graph, "dt_b_c", (WIDTH, WIDTH + 2 * size), x);
    let mut part = |start: usize, width: usize| graph.record(Slice { start, width }, &[all]).expect("it fits");
    let (dt, b, c) = (part(0, WIDTH), part(WIDTH, size), part(WIDTH + size, size));
    let a = weight(&mut graph, "a", &[size, WIDTH]);
    let d = weight(&mut graph, "d", &[WIDTH]);
    let y = graph.record(SelectiveScan { a, d, state }, &[x, dt, b, c]).expect("the widths fit");
    graph.set_output(y);
    graph
}

/// Small numbers that differ from weight to weight; a decay must be negative.
fn weights(graph: &Graph) -> Vec<WeightSource> {
    let value = |name: &str, index: usize| {
        let u = ((index * 37 + name.len() * 101 + usize::from(name.as_bytes()[0])) % 17) as f32 / 17.0 - 0.5;
        if name == "a" { -0.1 - u.abs() } else { u }
    };
    let source = |spec: &ascua_graph::WeightSpec| {
        let bytes: Vec<u8> = (0..spec.elements()).flat_map(|i| value(&spec.name, i).to_le_bytes()).collect();
        WeightSource { spec: spec.clone(), data: bytes.into() }
    };
    graph.weights().iter().map(source).collect()
}

/// Runs of `(sequence, first position, tokens)` as one step; gives the rows of the output.
fn step(program: &mut dyn Program, graph: &Graph, parts: &[(u32, usize, &[u32])]) -> Vec<Vec<f32>> {
    // The blocks of the two sequences alternate, so that neither lies in one piece.
    let blocks = [[0, 2, 4, 6], [1, 3, 5, 7]];
    let (mut tokens, mut positions, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for &(sequence, first_position, part) in parts {
        let start = tokens.len();
        tokens.extend_from_slice(part);
        positions.extend((first_position..first_position + part.len()).map(|p| p as u32));
        let blocks = &blocks[sequence as usize];
        runs.push(Run { tokens: start..tokens.len(), first_position, blocks, slot: sequence });
    }
    let outputs: Vec<u32> = (0..tokens.len() as u32).collect();
    let inputs = StepInputs { tokens: &tokens, positions: &positions, runs: &runs, outputs: &outputs };
    program.run(&inputs).expect("the step is within the plan");
    let output = graph.outputs()[0];
    program.read(output).chunks_exact(graph.shape(output).width).map(<[f32]>::to_vec).collect()
}

fn check(name: &str, graph: &Graph) {
    let device = ReferenceDevice;
    let compile = || device.compile(graph, weights(graph), &options()).expect("the graph compiles");
    let first: Vec<u32> = (0..TOKENS as u32).map(|i| i * 7 % VOCABULARY as u32).collect();
    let second: Vec<u32> = (0..TOKENS as u32).map(|i| (i * 5 + 3) % VOCABULARY as u32).collect();

    let whole = step(&mut *compile(), graph, &[(0, 0, &first)]);
    assert!(whole.iter().flatten().all(|v| v.is_finite()), "{name}: finite");

    let mut program = compile();
    let single: Vec<Vec<f32>> =
        first.iter().enumerate().flat_map(|(i, t)| step(&mut *program, graph, &[(0, i, &[*t])])).collect();
    assert_close(name, "token by token", &single, &whole);

    let mut program = compile();
    let mut mixed = Vec::new();
    for i in (0..TOKENS).step_by(3) {
        let rows = step(&mut *program, graph, &[(1, i, &second[i..i + 3]), (0, i, &first[i..i + 3])]);
        mixed.extend_from_slice(&rows[3..]);
    }
    assert_close(name, "beside another sequence", &mixed, &whole);

    let memory = NullDevice.plan(graph, &options()).expect("the null device plans everything");
    let cache: usize = graph
        .states()
        .iter()
        .map(|state| match *state {
            StateSpec::KeyValue { kv_heads, key_size, values, .. } => {
                let own = matches!(values, CachedValues::Own { .. });
                8 * BLOCK_TOKENS * kv_heads * (key_size + if own { values.size() } else { 0 }) * 4
            }
            StateSpec::Recurrent { elements } => 2 * elements * 4,
        })
        .sum();
    assert_eq!(memory.cache, cache as u64, "{name}: bytes of the cache");
    assert_eq!(
        memory.weights,
        graph.weights().iter().map(|w| w.bytes() as u64).sum::<u64>(),
        "{name}: bytes of weights"
    );
    assert_no_overlap(name, graph);
}

fn assert_close(name: &str, how: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{name}, {how}, row {row}: {a} for {b}");
        }
    }
}

/// Values that are alive at the same time never share memory.
fn assert_no_overlap(name: &str, graph: &Graph) {
    let limits = options().limits;
    let plan = Plan::new(graph, limits);
    let extent = |value: ValueId| {
        let place = plan.place(value);
        let rows = place.shape.rows.count(limits.tokens, limits.outputs);
        place.offset..place.offset + (rows - 1) * place.stride + place.shape.width
    };
    for (index, node) in graph.nodes().iter().enumerate() {
        if node.op_is_view() {
            continue;
        }
        let out = extent(node.output);
        let later = &graph.nodes()[index + 1..];
        for other in graph.nodes()[..index].iter().map(|n| n.output) {
            let needed = node.inputs.contains(&other) || later.iter().any(|n| n.inputs.contains(&other));
            let range = extent(other);
            if needed {
                assert!(out.end <= range.start || range.end <= out.start, "{name}: node {index} writes over {other:?}");
            }
        }
    }
}

trait IsView {
    fn op_is_view(&self) -> bool;
}

impl IsView for ascua_graph::Node {
    fn op_is_view(&self) -> bool {
        matches!(self.op, ascua_graph::Op::Slice(_))
    }
}

#[test]
fn sliding_windows() {
    check("sliding window", &sliding_window());
}

#[test]
fn latent_attention_keeps_keys_only() {
    check("latent attention", &latent_attention());
}

#[test]
fn mixture_of_experts() {
    check("mixture", &mixture());
}

#[test]
fn recurrent_state() {
    check("recurrent", &recurrent());
}

#[test]
fn dump_is_a_line_a_node() {
    let expected = "\
%0 [tokens, 8] = embedding() <table>
%1 [tokens, 4] = matmul(%0) <router>
%2 [tokens, 4] = route(%1)
%3 [tokens*2, 6] = expert_matmul(%0, %2) <up>
%4 [tokens*2, 8] = expert_matmul(%3, %2) <down>
%5 [tokens, 8] = expert_combine(%4, %2)
%6 [tokens, 8] = add(%0, %5)
";
    assert_eq!(mixture().dump(), expected);
}
