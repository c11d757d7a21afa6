//! An adapter beside the weights gives what the weights with the adapter merged into them give, for every architecture.

mod support;

use ascua_cpu::CpuDevice;
use ascua_cpu::isa::Isa;
use ascua_engine::{Engine, EngineOptions, Entry, ModelFile, Wanted};
use ascua_gguf::{Gguf, GgufWriter, Metadata, TensorInfo, TensorType};
use ascua_graph::{Device, Precision, ReferenceDevice};
use ascua_models::Adapter;

const RANK: usize = 3;
const ALPHA: f32 = 6.0;
const SCALE: f32 = 0.75;

/// Numbers between -0.5 and 0.5 that only depend on the seed.
fn noise(seed: &str, count: usize) -> Vec<f32> {
    let mut state = seed.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next()).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn built(mut writer: GgufWriter<'_>) -> Gguf {
    let mut out = Vec::new();
    writer.write_to(&mut out).expect("memory takes it");
    Gguf::from_bytes(out).expect("the writer writes what the reader reads")
}

/// The matrices that blocks multiply with; experts and tables are none of them.
fn adapted(tensor: &TensorInfo) -> bool {
    const PARTS: [&str; 9] =
        ["attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "output"];
    let part = tensor.name.strip_suffix(".weight").and_then(|name| name.rsplit('.').next());
    tensor.shape.len() == 2 && part.is_some_and(|part| PARTS.contains(&part))
}

fn adapter(model: &Gguf, change: impl FnOnce(&mut Metadata)) -> Gguf {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", model.metadata().architecture().expect("an architecture"));
    metadata.insert("general.type", "adapter");
    metadata.insert("adapter.type", "lora");
    metadata.insert("adapter.lora.alpha", ALPHA);
    change(&mut metadata);
    let mut writer = GgufWriter::new(metadata);
    for tensor in model.tensors().iter().filter(|tensor| adapted(tensor)) {
        let (columns, rows) = (tensor.shape[0] as usize, tensor.shape[1] as usize);
        for (suffix, shape) in [("lora_a", [columns, RANK]), ("lora_b", [RANK, rows])] {
            let name = format!("{}.{suffix}", tensor.name);
            let data = bytes(&noise(&name, shape[0] * shape[1]));
            writer.add(&name, shape.map(|size| size as u64).to_vec(), TensorType::F32, data).expect("a new name");
        }
    }
    built(writer)
}

/// `W + factor * B A`
fn merged(model: &Gguf) -> Gguf {
    let mut writer = GgufWriter::new(model.metadata().clone());
    for tensor in model.tensors() {
        let mut data = model.data(tensor).to_vec();
        if adapted(tensor) {
            let (columns, rows) = (tensor.shape[0] as usize, tensor.shape[1] as usize);
            let down = noise(&format!("{}.lora_a", tensor.name), columns * RANK);
            let up = noise(&format!("{}.lora_b", tensor.name), RANK * rows);
            assert_eq!(tensor.tensor_type, TensorType::F32, "{}", tensor.name);
            for (index, weight) in data.chunks_exact_mut(4).enumerate() {
                let (row, column) = (index / columns, index % columns);
                let sum: f64 = (0..RANK).map(|r| f64::from(up[row * RANK + r]) * f64::from(down[r * columns + column])).sum();
                let old = f32::from_le_bytes([weight[0], weight[1], weight[2], weight[3]]);
                let new = f64::from(old) + f64::from(SCALE * ALPHA / RANK as f32) * sum;
                weight.copy_from_slice(&(new as f32).to_le_bytes());
            }
        }
        writer.add(&tensor.name, tensor.shape.clone(), tensor.tensor_type, data).expect("a new name");
    }
    built(writer)
}

fn logits(device: &dyn Device, model: &ModelFile) -> Vec<f32> {
    let options = EngineOptions {
        context: 256,
        step_tokens: 64,
        step_outputs: 64,
        key_type: TensorType::F32,
        value_type: TensorType::F32,
        precision: Precision::Exact,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(device, model, &options).expect("the model loads");
    let sequence = engine.create_sequence().expect("a fresh engine has room");
    let mut found = Vec::new();
    let entry = Entry { sequence, tokens: support::tokens(), wanted: Wanted::From(0) };
    engine.evaluate(&[entry], &mut |logits| found.extend_from_slice(logits.values)).expect("the step fits");
    found
}

#[test]
fn an_adapter_beside_the_weights_is_the_adapter_in_the_weights() {
    let fastest = CpuDevice::new(2, Isa::detect()).expect("threads");
    let devices: [(&str, &dyn Device); 2] = [("reference", &ReferenceDevice), ("cpu", &fastest)];
    let mut failures = Vec::new();
    for name in support::MODELS {
        let model = support::model(name);
        let lora = adapter(&model, |_| {});
        assert!(lora.tensors().len() >= 2, "{name} has nothing to adapt");
        let whole = ModelFile::new(merged(&model)).expect("a model");
        let plain = ModelFile::new(support::model(name)).expect("a model");
        let beside = ModelFile::new(model).expect("a model");
        let lora = Adapter::new(lora, SCALE).expect("an adapter");
        let beside = beside.with_adapters(vec![lora]).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (device_name, device) in devices {
            let expected = logits(device, &whole);
            let error = support::normalised_error(&logits(device, &beside), &expected);
            let without = support::normalised_error(&logits(device, &plain), &expected);
            println!("{name}, {device_name}: {error:.3e} with the adapter, {without:.3e} without");
            if error.is_nan() || error >= 1e-6 || without < 1e-3 {
                failures.push(format!("{name}, {device_name}: error {error:.3e}, {without:.3e} without the adapter"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn adapters_that_do_not_fit_are_named() {
    let name = support::MODELS[0];
    let open = |change: &dyn Fn(&mut Metadata)| {
        let model = support::model(name);
        let adapter = Adapter::new(adapter(&model, change), 1.0).map_err(|error| error.to_string())?;
        let model = ModelFile::new(model).expect("a model");
        model.with_adapters(vec![adapter]).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(open(&|_| {}), Ok(()));
    let error = open(&|metadata| drop(metadata.insert("general.architecture", "other"))).expect_err("another model's");
    assert!(error.contains("`other`"), "{error}");
    let error = open(&|metadata| drop(metadata.insert("general.type", "model"))).expect_err("a model");
    assert!(error.contains("`general.type` is \"model\""), "{error}");
    let lonely = |shapes: &[(&str, [u64; 2])]| {
        let model = support::model(name);
        let mut metadata = Metadata::new();
        metadata.insert("general.architecture", model.metadata().architecture().expect("an architecture"));
        metadata.insert("general.type", "adapter");
        metadata.insert("adapter.type", "lora");
        let mut writer = GgufWriter::new(metadata);
        for (tensor, shape) in shapes {
            let data = vec![0; (shape[0] * shape[1] * 4) as usize];
            writer.add(tensor, shape.to_vec(), TensorType::F32, data).expect("a new name");
        }
        let adapter = Adapter::new(built(writer), 1.0).map_err(|error| error.to_string())?;
        let model = ModelFile::new(model).expect("a model");
        let model = model.with_adapters(vec![adapter]).expect("the same architecture");
        model.graph(64).map(|_| ()).map_err(|error| error.to_string())
    };
    let error = lonely(&[("blk.0.attn_output.weight.lora_a", [4, 2])]).expect_err("half a pair");
    assert!(error.contains("no partner `blk.0.attn_output.weight.lora_b`"), "{error}");
    let pair = |base: &str, shapes: [[u64; 2]; 2]| {
        let names = [format!("{base}.lora_a"), format!("{base}.lora_b")];
        lonely(&[(&names[0], shapes[0]), (&names[1], shapes[1])])
    };
    let error = pair("blk.0.attn_output.weight", [[5, 2], [2, 7]]).expect_err("other widths");
    assert!(error.contains("lora.0:blk.0.attn_output.weight.lora_a"), "{error}");
    let error = pair("blk.77.attn_output.weight", [[5, 2], [2, 7]]).expect_err("no such layer");
    assert!(error.contains("lora.0:blk.77.attn_output.weight.lora_a"), "{error}");
}
