//! Observed activations of tiny random models: those of the reference device, on the CPU at every level, however the
//! work is cut; experts are counted apart.

mod support;

use ascua_cpu::CpuDevice;
use ascua_cpu::isa::Isa;
use ascua_engine::{ActivationSums, Engine, EngineOptions, Entry, ModelFile, Observe, Wanted};
use ascua_gguf::TensorType;
use ascua_graph::{Device, Precision, ReferenceDevice};

fn observed(device: &dyn Device, name: &str, observe: Observe, piece: usize) -> Vec<ActivationSums> {
    let model = ModelFile::new(support::model(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let options = EngineOptions {
        context: 256,
        step_tokens: 64,
        key_type: TensorType::F32,
        value_type: TensorType::F32,
        precision: Precision::Exact,
        observe,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(device, &model, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let sequence = engine.create_sequence().expect("a fresh engine has room");
    for tokens in support::tokens().chunks(piece) {
        let entry = Entry { sequence, tokens, wanted: Wanted::Last };
        engine.evaluate(&[entry], &mut |_| panic!("{name}: no logits are computed")).expect("the step fits");
    }
    engine.activations().to_vec()
}

fn check(name: &str, found: &[ActivationSums], expected: &[ActivationSums]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((&found.weights, &found.counts), (&expected.weights, &expected.counts), "{name}");
        for (column, (a, b)) in found.sums.iter().zip(&expected.sums).enumerate() {
            assert!((a - b).abs() <= 1e-4 * b.abs() + 1e-6, "{name}: {:?}, {column}: {a} for {b}", found.weights);
        }
    }
}

#[test]
fn cpu_sums_are_those_of_the_reference_device() {
    for name in support::MODELS {
        let expected = observed(&ReferenceDevice, name, Observe::LayersAndOutput, support::POSITIONS);
        for isa in Isa::available() {
            let device = CpuDevice::new(3, isa).expect("the level is available");
            for piece in [support::POSITIONS, 7, 1] {
                check(name, &observed(&device, name, Observe::LayersAndOutput, piece), &expected);
            }
        }
    }
}

#[test]
fn every_product_of_a_layer_is_observed_once() {
    let activations = observed(&ReferenceDevice, "llama-moe", Observe::Layers, support::POSITIONS);
    let mut names: Vec<&str> = activations.iter().flat_map(|a| &a.weights).map(String::as_str).collect();
    names.sort_unstable();
    let file = support::header("llama-moe");
    let is_matrix = |name: &str| name.starts_with("blk.") && !name.contains("norm") && name.ends_with("weight");
    let mut wanted: Vec<&str> = file.tensors().iter().map(|t| t.name.as_str()).filter(|name| is_matrix(name)).collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);

    let used = file.metadata().unsigned("llama.expert_used_count").expect("a number").expect("a mixture") as usize;
    for sums in activations {
        let experts = sums.weights[0].contains("_exps");
        assert_eq!(sums.counts.len() > 1, experts, "{:?}", sums.weights);
        let seen: u64 = sums.counts.iter().sum();
        assert_eq!(seen as usize, support::POSITIONS * if experts { used } else { 1 }, "{:?}", sums.weights);
        for (sums, &count) in sums.sums.chunks(sums.sums.len() / sums.counts.len()).zip(&sums.counts) {
            assert_eq!(sums.iter().any(|&sum| sum > 0.0), count > 0, "what saw no token has no sums");
        }
    }
}
