//! Each architecture gives the logits that llama.cpp gives on a tiny random model, however the work is cut.

mod support;

use ascua_cpu::CpuDevice;
use ascua_cpu::isa::Isa;
use ascua_engine::{Engine, EngineOptions, Entry, ModelFile, Wanted};
use ascua_gguf::{Gguf, GgufWriter, TensorType};
use ascua_graph::{Device, Precision, ReferenceDevice};

/// Agreement asked of F32 weights in exact mode; wider where the peer takes GELU from a half-precision table.
fn tolerance(name: &str) -> f64 {
    if name.starts_with("gemma") { 1e-5 } else { 1e-6 }
}

const OPTIONS: EngineOptions = EngineOptions { sequences: 2, ..support::OPTIONS };

/// Logits of all positions, the tokens fed in pieces of `piece`.
fn logits(device: &dyn Device, name: &str, piece: usize) -> Vec<f32> {
    let model = ModelFile::new(support::model(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut engine = Engine::new(device, &model, &OPTIONS).unwrap_or_else(|e| panic!("{name}: {e}"));
    evaluate(&mut engine, piece)
}

fn evaluate(engine: &mut Engine, piece: usize) -> Vec<f32> {
    let sequence = engine.create_sequence().expect("a fresh engine has room");
    let mut found = Vec::new();
    for tokens in support::tokens().chunks(piece) {
        let entry = Entry { sequence, tokens, wanted: Wanted::From(0) };
        engine.evaluate(&[entry], &mut |logits| found.extend_from_slice(logits.values)).expect("the step fits");
    }
    found
}

fn check(device: &dyn Device, piece: usize) {
    let mut failures = Vec::new();
    for name in support::MODELS {
        let error = support::normalised_error(
            &logits(device, name, piece),
            &support::expected(&format!("architectures/{name}")),
        );
        println!("{name}: {error:.3e}");
        if error.is_nan() || error >= tolerance(name) {
            failures.push(format!("{name}: error {error:.3e}, allowed {:.0e}", tolerance(name)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn reference_device_agrees_in_one_batch() {
    check(&ReferenceDevice, support::POSITIONS);
}

#[test]
fn cpu_agrees_on_every_level_however_the_work_is_cut() {
    for isa in Isa::available() {
        for threads in [1, 3] {
            let device = CpuDevice::new(threads, isa).expect("the level is available");
            for piece in [support::POSITIONS, 7, 1] {
                println!("{isa}, {threads} threads, pieces of {piece}");
                check(&device, piece);
            }
        }
    }
}

/// The model with its matrices in Q8_0: rows of 32 and more elements, as quantising tools leave vectors alone.
fn quantised(name: &str) -> Gguf {
    let source = support::model(name);
    let mut writer = GgufWriter::new(source.metadata().clone());
    for tensor in source.tensors() {
        let data = source.data(tensor);
        let matrix = tensor.rows() > 1 && tensor.row_elements() % 32 == 0 && tensor.tensor_type == TensorType::F32;
        let (tensor_type, bytes) = if matrix {
            let values: Vec<f32> = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let mut bytes = vec![0; values.len() / 32 * TensorType::Q8_0.block_bytes()];
            ascua_quant::format(TensorType::Q8_0).encode_row(&values, &mut bytes).expect("rows are whole blocks");
            (TensorType::Q8_0, bytes)
        } else {
            (tensor.tensor_type, data.to_vec())
        };
        writer.add(&tensor.name, tensor.shape.clone(), tensor_type, bytes).expect("the name is new");
    }
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).expect("memory takes it");
    Gguf::from_bytes(bytes).expect("the writer writes what the reader reads")
}

/// With quantised weights, quantised activations stay within 1e-3 of exact arithmetic on the same weights.
#[test]
fn quantised_activations_stay_close_to_exact() {
    for name in support::MODELS {
        let model = ModelFile::new(quantised(name)).expect("the model is well-formed");
        let run = |device: &dyn Device, precision: Precision| {
            let options = EngineOptions { precision, ..OPTIONS };
            evaluate(&mut Engine::new(device, &model, &options).expect("the model loads"), support::POSITIONS)
        };
        let exact = run(&ReferenceDevice, Precision::Exact);
        for isa in Isa::available() {
            let device = CpuDevice::new(2, isa).expect("the level is available");
            let error = support::normalised_error(&run(&device, Precision::Quantised), &exact);
            println!("{name}, {isa}: {error:.3e}");
            assert!(error < 1e-3, "{name}, {isa}: error {error:.3e}, allowed 1e-3");
        }
    }
}

/// Two sequences in turn, and both in one batch, answer as each does alone.
#[test]
fn sequences_do_not_see_each_other() {
    let device = CpuDevice::new(2, Isa::detect()).expect("the detected level is available");
    for name in support::MODELS {
        let alone = logits(&device, name, support::POSITIONS);
        let model = ModelFile::new(support::model(name)).expect("the model is well-formed");
        let mut engine = Engine::new(&device, &model, &OPTIONS).expect("the model loads");
        let first = engine.create_sequence().expect("a fresh engine has room");
        let second = engine.create_sequence().expect("for two");
        let tokens = support::tokens();
        let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
        let mut found = Vec::new();
        for (a, b) in tokens.chunks(5).zip(reversed.chunks(5)) {
            let entries = [
                Entry { sequence: second, tokens: b, wanted: Wanted::Last },
                Entry { sequence: first, tokens: a, wanted: Wanted::From(0) },
            ];
            engine
                .evaluate(&entries, &mut |row| {
                    if row.entry == 1 {
                        found.extend_from_slice(row.values);
                    }
                })
                .expect("the step fits");
        }
        let error = support::normalised_error(&found, &alone);
        assert!(error < tolerance(name), "{name}: error {error:.3e} beside another sequence");
    }
}

/// Whether or not the logits of others are wanted, a token's are the same, also behind steps that want none.
#[test]
fn logits_do_not_depend_on_which_are_wanted() {
    let cpu = CpuDevice::new(3, Isa::detect()).expect("the detected level is available");
    for name in support::MODELS {
        wanted_in_pieces(&ReferenceDevice, name, 7);
        wanted_in_pieces(&cpu, name, 7);
    }
}

/// Two sequences with the same tokens side by side: of one the last few logits of a piece, or none, of the other the last
/// or all.
fn wanted_in_pieces(device: &dyn Device, name: &str, piece: usize) {
    let all = logits(device, name, support::POSITIONS);
    let model = ModelFile::new(support::model(name)).expect("the model is well-formed");
    let mut engine = Engine::new(device, &model, &OPTIONS).expect("the model loads");
    let sequences = [(); 2].map(|()| engine.create_sequence().expect("there is room for two"));
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (number, tokens) in support::tokens().chunks(piece).enumerate() {
        let (last, none) = (tokens.len() - 1, (Wanted::Nothing, tokens.len()));
        let wanted = match number % 3 {
            0 => [none; 2],
            1 => [none, (Wanted::Last, last)],
            _ => [(Wanted::From(4), 4.min(tokens.len())), (Wanted::From(0), 0)],
        };
        for (_, first) in wanted {
            let rows = number * piece + first..number * piece + tokens.len();
            expected.extend_from_slice(&all[rows.start * support::VOCABULARY..rows.end * support::VOCABULARY]);
        }
        let entry = |i: usize| Entry { sequence: sequences[i], tokens, wanted: wanted[i].0 };
        engine.evaluate(&[entry(0), entry(1)], &mut |row| found.extend_from_slice(row.values)).expect("the step fits");
    }
    let error = support::normalised_error(&found, &expected);
    assert!(error < tolerance(name), "{name} on {}: error {error:.3e}", device.name());
}

/// A fork continues as its origin would, and neither disturbs the other.
#[test]
fn forks_share_history_and_part_ways() {
    let device = CpuDevice::new(2, Isa::detect()).expect("the detected level is available");
    let name = "llama-dense";
    let whole = logits(&device, name, support::POSITIONS);
    let model = ModelFile::new(support::model(name)).expect("the model is well-formed");
    let mut engine = Engine::new(&device, &model, &OPTIONS).expect("the model loads");
    let origin = engine.create_sequence().expect("a fresh engine has room");
    let tokens = support::tokens();
    let half = support::POSITIONS / 2;
    let evaluate = |engine: &mut Engine, sequence, tokens: &[u32]| {
        let mut rows = Vec::new();
        let entry = Entry { sequence, tokens, wanted: Wanted::From(0) };
        engine.evaluate(&[entry], &mut |row| rows.extend_from_slice(row.values)).expect("the step fits");
        rows
    };
    evaluate(&mut engine, origin, &tokens[..half]);
    let fork = engine.fork_sequence(origin).expect("there is room for a fork");
    evaluate(&mut engine, fork, &[1, 2, 3, 4, 5]);
    let rest = evaluate(&mut engine, origin, &tokens[half..]);
    let error = support::normalised_error(&rest, &whole[half * support::VOCABULARY..]);
    assert!(error < 1e-6, "the origin after its fork wrote: {error:.3e}");
    engine.truncate_sequence(fork, half).expect("the fork exists");
    let rest = evaluate(&mut engine, fork, &tokens[half..]);
    let error = support::normalised_error(&rest, &whole[half * support::VOCABULARY..]);
    assert!(error < 1e-6, "the fork rolled back: {error:.3e}");
}
