//! Tiny checkpoints: their weights follow from the names of the tensors by the rule of `data/make.py`.

#![allow(dead_code)] // each test binary uses a part

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ascua_convert::checkpoint::DType;
use ascua_engine::{Engine, EngineOptions, Entry, ModelFile, Observe, Wanted};
use ascua_gguf::TensorType;
use ascua_graph::{Precision, ReferenceDevice};
use half::{bf16, f16};
use serde_json::{Map, Value, json};

const SEED: u64 = 20_261_126;
/// Tokens whose logits are expected.
pub const TOKENS: usize = 16;
/// Tokens there are.
pub const VOCABULARY: u64 = 64;

/// What a checkpoint has.
pub struct Fixture {
    pub config: Map<String, Value>,
    /// Names and shapes.
    pub tensors: Vec<(String, Vec<u64>)>,
}

pub fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

impl Fixture {
    pub fn new(name: &str) -> Fixture {
        let text = fs::read(data(&format!("{name}.json"))).expect("the fixture is part of the tests");
        let json: Value = serde_json::from_slice(&text).expect("the fixture is JSON");
        let config = json["config"].as_object().expect("the fixture has a configuration").clone();
        let number = |names: &[&str]| names.iter().find_map(|name| config.get(*name)?.as_u64()).unwrap_or(0);
        let (layers, experts) = (number(&["num_hidden_layers"]), number(&["num_experts", "num_local_experts"]));
        let mut tensors = Vec::new();
        for (pattern, shape) in json["tensors"].as_object().expect("the fixture has tensors") {
            let shape: Vec<u64> = shape.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let stars = pattern.matches('*').count();
            for layer in 0..if stars > 0 { layers } else { 1 } {
                for expert in 0..if stars > 1 { experts } else { 1 } {
                    let name = pattern.replacen('*', &layer.to_string(), 1).replacen('*', &expert.to_string(), 1);
                    tensors.push((name, shape.clone()));
                }
            }
        }
        Fixture { config, tensors }
    }

    /// Every tensor in one type; of BF16 and FP8 the vectors in F32, which they do not hold exactly.
    pub fn stored(&self, dtype: DType) -> Vec<Stored> {
        let mut stored = Vec::new();
        for (name, shape) in &self.tensors {
            if dtype == DType::F8E4M3 && name.contains("proj") {
                stored.extend(eight_bits(name, shape));
                continue;
            }
            let own = match dtype {
                DType::BF16 if shape.len() == 1 => DType::F32,
                DType::F8E4M3 => DType::F32,
                dtype => dtype,
            };
            stored.push(Stored::new(name, shape, own, &values(name, shape)));
        }
        stored
    }

    /// Writes `config.json`.
    pub fn write_config(&self, directory: &Path) {
        fs::write(directory.join("config.json"), json!(self.config).to_string()).expect("the directory takes it");
    }
}

/// A tensor as its bytes.
#[derive(Clone)]
pub struct Stored {
    pub name: String,
    pub shape: Vec<u64>,
    pub dtype: DType,
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn new(name: &str, shape: &[u64], dtype: DType, values: &[f32]) -> Stored {
        let encoded = values.iter().map(|&value| match dtype {
            DType::F64 => f64::from(value).to_le_bytes().to_vec(),
            DType::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
            DType::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        });
        Stored { name: name.to_owned(), shape: shape.to_vec(), dtype, bytes: encoded.flatten().collect() }
    }
}

/// The bytes of a safetensors file.
pub fn safetensors(tensors: &[Stored]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    for Stored { name, shape, dtype, bytes } in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        header
            .insert(name.clone(), json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [start, data.len()]}));
    }
    with_header(&json!(header).to_string(), &data)
}

/// A file of a header and data, whatever they say.
pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Writes tensors in `parts` files, with an index where there are several.
pub fn write_parts(directory: &Path, tensors: &[Stored], parts: usize) {
    if parts == 1 {
        fs::write(directory.join("model.safetensors"), safetensors(tensors)).expect("the directory takes it");
        return;
    }
    let mut weight_map = BTreeMap::new();
    for (number, part) in tensors.chunks(tensors.len().div_ceil(parts)).enumerate() {
        let file = format!("model-{:05}-of-{parts:05}.safetensors", number + 1);
        weight_map.extend(part.iter().map(|tensor| (tensor.name.clone(), file.clone())));
        fs::write(directory.join(file), safetensors(part)).expect("the directory takes it");
    }
    let index = json!({"metadata": {"total_size": 0}, "weight_map": weight_map});
    fs::write(directory.join("model.safetensors.index.json"), index.to_string()).expect("the directory takes it");
}

/// The input tokens.
pub fn tokens() -> Vec<u32> {
    stream(SEED ^ 0x746f_6b65_6e73).take(TOKENS).map(|x| ((x >> 33) % VOCABULARY) as u32).collect()
}

/// What the model answers, `[TOKENS, VOCABULARY]`.
pub fn expected(name: &str) -> Vec<f32> {
    let bytes = fs::read(data(&format!("{name}.logits"))).expect("the logits are part of the tests");
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn stream(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

fn bits(name: &str, shape: &[u64]) -> impl Iterator<Item = u64> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    stream(SEED ^ hash).take(shape.iter().product::<u64>() as usize)
}

/// The weights of a tensor.
pub fn values(name: &str, shape: &[u64]) -> Vec<f32> {
    let unit = bits(name, shape).map(|x| ((x >> 57) as f32 - 64.0) / 64.0);
    if shape.len() == 1 {
        let one = if name.contains("norm") || name.contains("ln_") { 1.0 } else { 0.0 };
        return unit.map(|u| one + 0.125 * u).collect();
    }
    let mut scale = 1.0;
    if !name.contains("embed_tokens") && !name.contains("wte") {
        let columns = shape.last().copied().unwrap_or(1) as f64;
        scale = 2f32.powi(-(((columns / 3.0).log2() / 2.0).floor() as i32));
    }
    unit.map(|u| u * scale).collect()
}

/// A weight in E4M3 and its scales for blocks of 16 by 16.
fn eight_bits(name: &str, shape: &[u64]) -> [Stored; 2] {
    let bytes = bits(name, shape).map(|x| ((x >> 33) % 0x40) as u8 | ((x >> 63) as u8) << 7).collect();
    let scale_name = format!("{name}_scale_inv");
    let blocks: Vec<u64> = shape.iter().map(|size| size.div_ceil(16)).collect();
    let scales: Vec<f32> = bits(&scale_name, &blocks).map(|x| (x >> 57) as f32 / 512.0 + 1.0 / 512.0).collect();
    let weight = Stored { name: name.to_owned(), shape: shape.to_vec(), dtype: DType::F8E4M3, bytes };
    [weight, Stored::new(&scale_name, &blocks, DType::F32, &scales)]
}

/// The model's logits of all [`tokens`], in F32.
pub fn logits(model: &ModelFile, context: usize) -> Vec<f32> {
    let options = EngineOptions {
        context,
        sequences: 1,
        step_tokens: TOKENS,
        step_outputs: TOKENS,
        key_type: TensorType::F32,
        value_type: TensorType::F32,
        precision: Precision::Exact,
        observe: Observe::Nothing,
    };
    let mut engine = Engine::new(&ReferenceDevice, model, &options).unwrap_or_else(|error| panic!("{error}"));
    let sequence = engine.create_sequence().expect("a fresh engine has room");
    let mut found = Vec::new();
    let entry = Entry { sequence, tokens: &tokens(), wanted: Wanted::From(0) };
    engine.evaluate(&[entry], &mut |logits| found.extend_from_slice(logits.values)).expect("the step fits");
    found
}

/// Mean squared difference over mean square.
pub fn normalised_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    difference / expected.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>()
}
