//! Tiny random models, one per architecture: a header-only GGUF and a rule that fills its weights.
//!
//! The rule (all integer arithmetic is wrapping u64): a splitmix64 stream seeded by the tensor's name gives numbers in
//! [-1, 1), scaled by what the tensor is for. The expected logits were computed once by llama.cpp from the same files.

#![allow(dead_code)] // each test binary uses a part

use std::path::PathBuf;

use ascua_engine::{EngineOptions, Observe};
use ascua_gguf::{Gguf, GgufWriter, Metadata, TensorType};
use ascua_graph::Precision;

/// Seed of the weights.
const SEED: u64 = 20_261_122;
/// Seed of the input tokens.
const TOKEN_SEED: u64 = 1;
/// Positions in an expected-logits file.
pub const POSITIONS: usize = 32;
/// Tokens of the tiny vocabularies.
pub const VOCABULARY: usize = 128;

/// Room for all positions at once, everything in F32.
pub const OPTIONS: EngineOptions = EngineOptions {
    context: 256,
    sequences: 1,
    step_tokens: 64,
    step_outputs: 64,
    key_type: TensorType::F32,
    value_type: TensorType::F32,
    precision: Precision::Exact,
    observe: Observe::Nothing,
};

/// The names of the tiny models.
pub const MODELS: &[&str] = &[
    "llama-dense",
    "llama-moe",
    "qwen-dense",
    "qwen2-dense",
    "qwen2moe-moe",
    "qwen3-dense",
    "qwen3moe-moe",
    "baichuan-dense",
    "gemma3-dense",
    "phi3-dense",
];

fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// The filled model.
pub fn model(name: &str) -> Gguf {
    let header = header(name);
    let tensors = header.tensors().iter().map(|t| (t.name.clone(), t.shape.clone(), t.tensor_type));
    filled(header.metadata().clone(), tensors)
}

/// A model of these tensors, filled by the rule.
pub fn filled(metadata: Metadata, tensors: impl Iterator<Item = (String, Vec<u64>, TensorType)>) -> Gguf {
    let mut writer = GgufWriter::new(metadata);
    for (name, shape, tensor_type) in tensors {
        assert_eq!(tensor_type, TensorType::F32, "the rule fills F32 tensors");
        let bytes: Vec<u8> = values(&name, &shape).into_iter().flat_map(f32::to_le_bytes).collect();
        writer.add(&name, shape, tensor_type, bytes).expect("the name is new");
    }
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).expect("memory takes it");
    Gguf::from_bytes(bytes).expect("the filled model is well-formed")
}

/// The header of a tiny model.
pub fn header(name: &str) -> Gguf {
    Gguf::open_header(data(&format!("architectures/{name}.head"))).expect("the header is well-formed")
}

/// What llama.cpp answers, `[POSITIONS, VOCABULARY]`; `name` is a file under `tests/data` without its ending.
pub fn expected(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(data(&format!("{name}.logits"))).expect("the logits file is part of the tests");
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The input tokens.
pub fn tokens() -> Vec<u32> {
    stream(TOKEN_SEED ^ 0x746f_6b65_6e73).take(POSITIONS).map(|x| ((x >> 33) % VOCABULARY as u64) as u32).collect()
}

/// Mean squared difference over mean square of the expected values.
pub fn normalised_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len(), "as many logits as expected");
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let size: f64 = expected.iter().map(|b| f64::from(*b).powi(2)).sum();
    difference / size
}

fn stream(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

fn values(name: &str, shape: &[u64]) -> Vec<f32> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let elements = shape.iter().product::<u64>() as usize;
    let unit = stream(SEED ^ hash).take(elements).map(|x| (x >> 40) as f32 / (1u32 << 23) as f32 - 1.0);
    let vector = shape.iter().filter(|&&d| d > 1).count() <= 1;
    let range = (3.0 / shape[0] as f64).sqrt() as f32;
    unit.map(|u| {
        if name.contains("ssm_a") {
            -(0.5 + 0.5 * u.abs())
        } else if vector && name.contains("norm") && name.ends_with(".weight") {
            1.0 + 0.1 * u
        } else if vector {
            0.1 * u
        } else if name == "token_embd.weight" {
            u
        } else {
            u * range
        }
    })
    .collect()
}
