//! Each architecture gives the logits that llama.cpp gives on a tiny random model, however the work is cut.

mod support;

use ascua_cpu::CpuDevice;
use ascua_cpu::isa::Isa;
use ascua_engine::{Engine, EngineOptions, Entry, ModelFile, Wanted};
use ascua_gguf::TensorType;
use ascua_graph::{Device, Precision, ReferenceDevice};

/// Agreement asked of F32 weights in exact mode; wider where the peer takes GELU from a half-precision table.
fn tolerance(name: &str) -> f64 {
    if name.starts_with("gemma") { 1e-5 } else { 1e-6 }
}

fn options() -> EngineOptions {
    EngineOptions {
        context: 256,
        sequences: 2,
        step_tokens: 64,
        step_outputs: 64,
        key_type: TensorType::F32,
        value_type: TensorType::F32,
        precision: Precision::Exact,
    }
}

/// Logits of all positions, the tokens fed in pieces of `piece`.
fn logits(device: &dyn Device, name: &str, piece: usize) -> Vec<f32> {
    let model = ModelFile::new(support::model(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut engine = Engine::new(device, &model, &options()).unwrap_or_else(|e| panic!("{name}: {e}"));
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
        let error = support::normalised_error(&logits(device, name, piece), &support::expected(name));
        println!("{name}: {error:.3e}");
        if !(error < tolerance(name)) {
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
