//! Adapters beside the weights answer as the weights with the adapters merged into them do, for every weight of every
//! architecture that is multiplied with; and an adapter that does not fit is told by its name and its tensor's.

mod support;

use ascua_cpu::CpuDevice;
use ascua_cpu::isa::Isa;
use ascua_engine::{Engine, EngineOptions, Entry, ModelFile, Observe, Wanted, plan};
use ascua_gguf::{Gguf, GgufWriter, Metadata, TensorInfo, TensorType, Value};
use ascua_graph::{Device, ReferenceDevice};
use ascua_models::Adapter;
use support::OPTIONS;

/// What a test adapter is like; its numbers follow from its name.
#[derive(Clone, Copy)]
struct Lora {
    name: &'static str,
    rank: usize,
    alpha: f32,
    scale: f32,
    tensor_type: TensorType,
}

/// A rank that fills no vector, more strength than trained for.
const FIRST: Lora = Lora { name: "first", rank: 3, alpha: 6.0, scale: 0.5, tensor_type: TensorType::F32 };
/// Against its training, half precision, and no alpha: the scale is the factor.
const SECOND: Lora = Lora { name: "second", rank: 8, alpha: 0.0, scale: -0.75, tensor_type: TensorType::F16 };

/// Columns, rows and matrices of a weight that is multiplied with or looked up in.
fn matrix(tensor: &TensorInfo) -> Option<[usize; 3]> {
    let size = |place: usize| tensor.shape.get(place).map_or(1, |&size| size as usize);
    let gate = tensor.name.ends_with("ffn_gate_inp_shexp.weight"); // of one row
    (gate || size(1) > 1).then(|| [size(0), size(1), size(2)])
}

/// Multiples of 1/256 in [-1/4, 1/4), exact in half precision.
fn noise(seed: &str, count: usize) -> Vec<f32> {
    let mut state =
        seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 57) as f32 - 64.0) / 256.0
    };
    (0..count).map(|_| next()).collect()
}

fn encoded(tensor_type: TensorType, values: &[f32], row: usize) -> Vec<u8> {
    let format = ascua_quant::format(tensor_type);
    let mut bytes = vec![0; values.len() / tensor_type.block_len() * tensor_type.block_bytes()];
    let row_bytes = row / tensor_type.block_len() * tensor_type.block_bytes();
    for (values, bytes) in values.chunks(row).zip(bytes.chunks_mut(row_bytes)) {
        format.encode_row_with(values, None, bytes).expect("whole blocks");
    }
    bytes
}

fn decoded(file: &Gguf, tensor: &TensorInfo) -> Vec<f32> {
    let mut values = vec![0.0; tensor.elements() as usize];
    ascua_quant::format(tensor.tensor_type).decode_row(&file.data(tensor), &mut values).expect("whole blocks");
    values
}

fn built(mut writer: GgufWriter<'_>) -> Gguf {
    let mut out = Vec::new();
    writer.write_to(&mut out).expect("memory takes it");
    Gguf::from_bytes(out).expect("the writer writes what the reader reads")
}

fn keys(architecture: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", architecture);
    metadata.insert("general.type", "adapter");
    metadata.insert("adapter.type", "lora");
    metadata
}

impl Lora {
    /// The two matrices beside a weight, `[rows][columns]` each, expert after expert.
    fn halves(&self, weight: &str, [columns, rows, matrices]: [usize; 3]) -> [Vec<f32>; 2] {
        let half = |which: &str, count: usize| noise(&format!("{}{weight}{which}", self.name), count);
        [half("a", matrices * self.rank * columns), half("b", matrices * rows * self.rank)]
    }

    /// What it adds to a weight, `[matrices][rows][columns]`.
    fn product(&self, weight: &str, shape: [usize; 3]) -> Vec<f64> {
        let [columns, rows, matrices] = shape;
        let [down, up] = self.halves(weight, shape);
        let factor = if self.alpha == 0.0 { self.scale } else { self.scale * self.alpha / self.rank as f32 };
        let mut sum = vec![0.0; matrices * rows * columns];
        for (index, sum) in sum.iter_mut().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let matrix = row / rows;
            for r in 0..self.rank {
                let product = up[row * self.rank + r] * down[(matrix * self.rank + r) * columns + column];
                *sum += f64::from(factor * product);
            }
        }
        sum
    }

    /// The file of an adapter for all of a model's matrices; of a model without an output of its own one for that too.
    fn file(&self, model: &Gguf) -> Gguf {
        let mut metadata = keys(model.metadata().architecture().expect("an architecture"));
        metadata.insert("adapter.lora.alpha", self.alpha);
        let mut writer = GgufWriter::new(metadata);
        let mut weights: Vec<(String, [usize; 3])> =
            model.tensors().iter().filter_map(|tensor| Some((tensor.name.clone(), matrix(tensor)?))).collect();
        if model.tensor("output.weight").is_none() {
            let table = weights.iter().find(|(name, _)| name == "token_embd.weight").expect("every model has one");
            weights.push(("output.weight".into(), table.1));
        }
        for (name, shape) in weights {
            let [columns, rows, matrices] = shape;
            let [down, up] = self.halves(&name, shape);
            let (a, b) = (format!("{name}.lora_a"), format!("{name}.lora_b"));
            if name == "token_embd.weight" {
                // A row for each token, and from there to the width.
                let across = (0..columns * self.rank).map(|at| down[at % self.rank * columns + at / self.rank]);
                self.add(&mut writer, &a, [self.rank, rows, 1], &up);
                self.add(&mut writer, &b, [self.rank, columns, 1], &across.collect::<Vec<_>>());
            } else {
                self.add(&mut writer, &a, [columns, self.rank, matrices], &down);
                self.add(&mut writer, &b, [self.rank, rows, matrices], &up);
            }
        }
        built(writer)
    }

    fn add(&self, writer: &mut GgufWriter<'_>, name: &str, shape: [usize; 3], values: &[f32]) {
        let dimensions = if shape[2] > 1 { 3 } else { 2 };
        let shape_in_file: Vec<u64> = shape[..dimensions].iter().map(|&size| size as u64).collect();
        let bytes = encoded(self.tensor_type, values, shape[0]);
        writer.add(name, shape_in_file, self.tensor_type, bytes).expect("a new name");
    }

    fn adapter(&self, model: &Gguf) -> Adapter {
        Adapter::new(self.file(model), self.name).and_then(|adapter| adapter.scaled(self.scale)).expect("an adapter")
    }
}

/// A tiny model. The factors that feed-forward tensors may have of their own are left out: not every architecture applies
/// them. Those of attention stay.
fn model(name: &str) -> Gguf {
    let model = support::model(name);
    let mut writer = GgufWriter::new(model.metadata().clone());
    for tensor in model.tensors() {
        if tensor.name.contains(".ffn_") && tensor.name.ends_with("scale") {
            continue;
        }
        let data = model.data(tensor).to_vec();
        writer.add(tensor.name.as_str(), tensor.shape.clone(), tensor.tensor_type, data).expect("a new name");
    }
    built(writer)
}

/// The model with adapters added to its weights, all in F32. A tensor's own factor multiplies the weight, not what is added.
fn merged(model: &Gguf, loras: &[Lora]) -> Gguf {
    let mut writer = GgufWriter::new(model.metadata().clone());
    let mut add = |name: &str, tensor: &TensorInfo| {
        let mut values = decoded(model, tensor);
        if let Some(own) = name.strip_suffix("weight").and_then(|stem| model.tensor(&format!("{stem}scale"))) {
            let own = decoded(model, own)[0];
            values.iter_mut().for_each(|value| *value *= own);
        }
        for lora in loras {
            let Some(shape) = matrix(tensor) else { continue };
            for (value, product) in values.iter_mut().zip(lora.product(name, shape)) {
                *value = (f64::from(*value) + product) as f32;
            }
        }
        let bytes = encoded(TensorType::F32, &values, values.len());
        writer.add(name, tensor.shape.clone(), TensorType::F32, bytes).expect("a new name");
    };
    for tensor in model.tensors().iter().filter(|tensor| !tensor.name.ends_with("scale")) {
        add(&tensor.name, tensor);
    }
    if model.tensor("output.weight").is_none() {
        add("output.weight", model.tensor("token_embd.weight").expect("every model has one"));
    }
    built(writer)
}

/// The model with every matrix whose rows are whole blocks in another type.
fn quantised(model: &Gguf, tensor_type: TensorType) -> Gguf {
    let mut writer = GgufWriter::new(model.metadata().clone());
    for tensor in model.tensors() {
        let whole = tensor.row_elements().is_multiple_of(tensor_type.block_len() as u64);
        let chosen = if whole && matrix(tensor).is_some() { tensor_type } else { TensorType::F32 };
        let bytes = encoded(chosen, &decoded(model, tensor), tensor.row_elements() as usize);
        writer.add(tensor.name.as_str(), tensor.shape.clone(), chosen, bytes).expect("a new name");
    }
    built(writer)
}

fn logits(device: &dyn Device, model: &ModelFile, piece: usize) -> Vec<f32> {
    let mut engine = Engine::new(device, model, &OPTIONS).unwrap_or_else(|error| panic!("{error}"));
    let sequence = engine.create_sequence().expect("a fresh engine has room");
    let mut found = Vec::new();
    for tokens in support::tokens().chunks(piece) {
        let entry = Entry { sequence, tokens, wanted: Wanted::From(0) };
        engine.evaluate(&[entry], &mut |row| found.extend_from_slice(row.values)).expect("the step fits");
    }
    found
}

/// The model with adapters beside and in its weights, on every device; `without` is how much they matter at least.
fn check(name: &str, model: Gguf, loras: &[Lora], tolerance: f64, without: f64) {
    let adapters: Vec<Adapter> = loras.iter().map(|lora| lora.adapter(&model)).collect();
    let whole = ModelFile::new(merged(&model, loras)).expect("a model");
    let expected = logits(&ReferenceDevice, &whole, support::POSITIONS);
    let plain = ModelFile::new(model).expect("a model");
    let change = support::normalised_error(&logits(&ReferenceDevice, &plain, support::POSITIONS), &expected);
    assert!(change > without, "{name}: the adapters change {change:.1e} only");
    let beside = plain.with_adapters(adapters).unwrap_or_else(|error| panic!("{name}: {error}"));
    let check = |device: &dyn Device, piece: usize| {
        let error = support::normalised_error(&logits(device, &beside, piece), &expected);
        println!("{name}, {}, {piece}: {error:.1e}, without the adapters {change:.1e}", device.name());
        assert!(error < tolerance, "{name}, {}, pieces of {piece}: error {error:.1e}", device.name());
    };
    check(&ReferenceDevice, support::POSITIONS);
    for isa in Isa::available() {
        let device = CpuDevice::new(2, isa).expect("the level is available");
        for piece in [support::POSITIONS, 7, 1] {
            check(&device, piece);
        }
    }
}

#[test]
fn adapters_beside_the_weights_answer_as_in_the_weights() {
    for name in support::MODELS {
        check(name, model(name), &[FIRST, SECOND], 1e-6, 1e-3);
    }
}

#[test]
fn the_weights_may_be_quantised() {
    for tensor_type in [TensorType::Q8_0, TensorType::Q4_0] {
        for name in ["llama-dense", "qwen3moe-moe"] {
            check(name, quantised(&model(name), tensor_type), &[FIRST, SECOND], 1e-6, 1e-3);
        }
    }
}

#[test]
fn what_adapters_take_is_in_the_plan_and_what_they_are_is_not_observed() {
    let model = model("llama-moe");
    let adapter = FIRST.adapter(&model);
    let bytes: u64 = adapter.file().tensors().iter().map(TensorInfo::bytes).sum();
    let plain = ModelFile::new(model).expect("a model");
    let device = CpuDevice::new(1, Isa::detect()).expect("a thread");
    let observing = EngineOptions { observe: Observe::LayersAndOutput, ..OPTIONS };
    let before = plan(&device, &plain, &OPTIONS).expect("it fits");
    let observed = |model: &ModelFile| {
        let mut engine = Engine::new(&device, model, &observing).expect("the model loads");
        let sequence = engine.create_sequence().expect("a fresh engine has room");
        let entry = Entry { sequence, tokens: &support::tokens(), wanted: Wanted::Nothing };
        engine.evaluate(&[entry], &mut |_| {}).expect("the step fits");
        engine.activations().to_vec()
    };
    let of_plain = observed(&plain);
    let beside = plain.with_adapters(vec![adapter]).expect("it fits");
    let after = plan(&device, &beside, &OPTIONS).expect("it fits");
    assert_eq!(after.weights, before.weights + bytes);
    assert!(after.scratch > before.scratch, "the narrow values need room");
    let of_adapted = observed(&beside);
    let names = |all: &[ascua_engine::ActivationSums]| all.iter().map(|sums| sums.weights.clone()).collect::<Vec<_>>();
    assert_eq!(names(&of_adapted), names(&of_plain));
    assert!(of_adapted.iter().zip(&of_plain).any(|(a, b)| a.sums != b.sums), "it changes what weights see");
}

/// The error of an adapter for the tiny llama with these keys and tensors.
fn refusal(change: &[(&str, Value)], tensors: &[(&str, &[u64])]) -> String {
    let model = ModelFile::new(model("llama-dense")).expect("a model");
    let mut metadata = keys("llama");
    for (key, value) in change {
        metadata.insert(key, value.clone());
    }
    let mut writer = GgufWriter::new(metadata);
    for &(name, shape) in tensors {
        let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
        writer.add(name, shape, TensorType::F32, bytes).expect("a new name");
    }
    let adapter = match Adapter::new(built(writer), "a.gguf") {
        Ok(adapter) => adapter,
        Err(error) => return error.to_string(),
    };
    match model.with_adapters(vec![adapter]).and_then(|model| model.graph(64)) {
        Ok(_) => "none".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_adapter_that_cannot_be_used_is_told_by_its_tensor() {
    let header = support::header("llama-dense");
    let weight = header.tensor("blk.1.attn_k.weight").expect("it is there");
    let (columns, rows) = (weight.shape[0], weight.shape[1]);
    let (a, b) = ("blk.1.attn_k.weight.lora_a", "blk.1.attn_k.weight.lora_b");
    let fits: [(&str, &[u64]); 2] = [(a, &[columns, 2]), (b, &[2, rows])];
    assert_eq!(refusal(&[], &fits), "none");
    let text = |text: &str| Value::String(text.into());
    for (key, value, expected) in [
        ("general.type", text("model"), "adapter a.gguf: `general.type` is `model`, wanted `adapter`"),
        ("adapter.type", text("control_vector"), "`adapter.type` is `control_vector`, wanted `lora`"),
        ("general.architecture", text("qwen3"), "is for the architecture `qwen3`, but the model is `llama`"),
        ("adapter.lora.alpha", Value::F32(f32::NAN), "the alpha is NaN, wanted a finite number"),
        ("adapter.lora.alpha", text("16"), "`adapter.lora.alpha`"),
        ("adapter.alora.invocation_tokens", Value::U32(1), "adapters that certain tokens switch on"),
    ] {
        let found = refusal(&[(key, value)], &fits);
        assert!(found.contains(expected), "{key}: {found}");
    }
    let table = header.tensor("token_embd.weight").expect("it is there").shape.clone();
    let (table_a, table_b) = ("token_embd.weight.lora_a", "token_embd.weight.lora_b");
    type Tensors<'a> = &'a [(&'a str, &'a [u64])];
    let cases: &[(Tensors<'_>, &str)] = &[
        (&[], "adapter a.gguf: has no tensors"),
        (&[fits[0]], "tensor `blk.1.attn_k.weight.lora_a` has no partner `blk.1.attn_k.weight.lora_b`"),
        (&[fits[1]], "tensor `blk.1.attn_k.weight.lora_b` has no partner `blk.1.attn_k.weight.lora_a`"),
        (&[fits[0], fits[1], ("output_norm.weight", &[columns])], "`output_norm.weight` is neither `….lora_a` nor"),
        (&[(a, &[columns + 1, 2]), fits[1]], "`blk.1.attn_k.weight.lora_a` has shape"),
        (&[fits[0], (b, &[3, rows])], "`blk.1.attn_k.weight.lora_a` has shape"),
        (&[fits[0], (b, &[2, rows + 1])], "`blk.1.attn_k.weight.lora_b` has shape"),
        (&[(a, &[columns, 2, 2]), (b, &[2, rows, 2])], "`blk.1.attn_k.weight.lora_a` has shape"),
        // Not a table, as for a product.
        (&[(table_a, &[table[0], 2]), (table_b, &[2, table[1]])], "`token_embd.weight.lora_a` has shape"),
        (
            &[
                fits[0],
                fits[1],
                ("blk.9.attn_q.weight.lora_a", &[columns, 2]),
                ("blk.9.attn_q.weight.lora_b", &[2, rows]),
            ],
            "no weight that 2 of its tensors belong to, the first is `blk.9.attn_q.weight.lora_a`",
        ),
    ];
    for (tensors, expected) in cases {
        let found = refusal(&[], tensors);
        assert!(found.contains(expected), "{tensors:?}: {found}");
    }
    let file = FIRST.file(&model("llama-dense"));
    let error = ModelFile::new(file).map(|_| ()).expect_err("it is no model").to_string();
    assert!(error.contains("is an adapter"), "{error}");
    for scale in [f32::NAN, f32::INFINITY] {
        let adapter = Adapter::new(FIRST.file(&model("llama-dense")), "a.gguf").expect("an adapter");
        let error = adapter.scaled(scale).map(|_| ()).expect_err("no number").to_string();
        assert!(error.contains("adapter a.gguf: the scale is"), "{error}");
    }
}
