//! What the plain tiny models leave out: stretched positions, other layer counts, windows, caps, shared matrices.
//!
//! Each case changes metadata or tensors of a tiny model; expected logits were computed by llama.cpp.

mod support;

use ascua_cpu::CpuDevice;
use ascua_cpu::isa::Isa;
use ascua_engine::{Engine, Entry, ModelFile, Wanted};
use ascua_gguf::{Gguf, TensorType, Value};

/// A change of a tiny model.
struct Variant {
    name: &'static str,
    base: &'static str,
    /// Keys under the architecture's name.
    keys: &'static [(&'static str, Key)],
    /// Layers, each a copy in shape of the first.
    layers: Option<u32>,
    /// A tensor left out.
    without: Option<&'static str>,
    tolerance: f64,
}

enum Key {
    Float(f32),
    Unsigned(u32),
    Text(&'static str),
}

use Key::{Float, Text, Unsigned};

const VARIANTS: &[Variant] = &[
    Variant { name: "baichuan-7b", base: "baichuan-dense", layers: Some(32), ..PLAIN },
    Variant { name: "baichuan-13b", base: "baichuan-dense", layers: Some(40), ..PLAIN },
    Variant {
        name: "linear",
        base: "qwen2-dense",
        keys: &[("rope.scaling.type", Text("linear")), ("rope.scaling.factor", Float(4.0))],
        ..PLAIN
    },
    Variant {
        name: "yarn",
        base: "qwen2-dense",
        keys: &[
            ("rope.scaling.type", Text("yarn")),
            ("rope.scaling.factor", Float(4.0)),
            ("rope.scaling.original_context_length", Unsigned(64)),
        ],
        ..PLAIN
    },
    Variant {
        name: "yarn-attn",
        base: "qwen2-dense",
        keys: &[
            ("rope.scaling.type", Text("yarn")),
            ("rope.scaling.factor", Float(8.0)),
            ("rope.scaling.original_context_length", Unsigned(32)),
            ("rope.scaling.attn_factor", Float(1.2)),
        ],
        ..PLAIN
    },
    Variant {
        name: "yarn-logmul",
        base: "qwen2-dense",
        keys: &[
            ("rope.scaling.type", Text("yarn")),
            ("rope.scaling.factor", Float(8.0)),
            ("rope.scaling.original_context_length", Unsigned(32)),
            ("rope.scaling.yarn_log_multiplier", Float(0.1)),
        ],
        ..PLAIN
    },
    Variant {
        name: "longrope-long",
        base: "phi3-dense",
        keys: &[("rope.scaling.original_context_length", Unsigned(64)), ("rope.scaling.attn_factor", Float(1.19))],
        ..PLAIN
    },
    Variant {
        name: "gemma-swa8",
        base: "gemma3-dense",
        keys: &[("attention.sliding_window", Unsigned(8))],
        tolerance: 1e-5,
        ..PLAIN
    },
    Variant {
        name: "gemma-softcap",
        base: "gemma3-dense",
        keys: &[("final_logit_softcapping", Float(3.0))],
        tolerance: 1e-5,
        ..PLAIN
    },
    Variant { name: "tied", base: "qwen2-dense", without: Some("output.weight"), ..PLAIN },
];

const PLAIN: Variant = Variant { name: "", base: "", keys: &[], layers: None, without: None, tolerance: 1e-6 };

fn model(variant: &Variant) -> Gguf {
    let header = support::header(variant.base);
    let mut metadata = header.metadata().clone();
    let architecture = metadata.architecture().expect("the header names it").to_owned();
    for (key, value) in variant.keys {
        let value = match value {
            Float(v) => Value::F32(*v),
            Unsigned(v) => Value::U32(*v),
            Text(v) => Value::String((*v).to_owned()),
        };
        metadata.insert(format!("{architecture}.{key}"), value);
    }
    let mut tensors: Vec<(String, Vec<u64>, TensorType)> =
        header.tensors().iter().map(|t| (t.name.clone(), t.shape.clone(), t.tensor_type)).collect();
    tensors.retain(|(name, ..)| Some(name.as_str()) != variant.without);
    if let Some(layers) = variant.layers {
        metadata.insert(format!("{architecture}.block_count"), layers);
        let first: Vec<_> = tensors.iter().filter(|(name, ..)| name.starts_with("blk.0.")).cloned().collect();
        tensors.retain(|(name, ..)| !name.starts_with("blk."));
        for layer in 0..layers {
            let copies = first.iter().map(|(name, shape, tensor_type)| {
                (name.replacen("blk.0.", &format!("blk.{layer}."), 1), shape.clone(), *tensor_type)
            });
            tensors.extend(copies);
        }
    }
    support::filled(metadata, tensors.into_iter())
}

#[test]
fn variants_agree() {
    for isa in Isa::available() {
        let device = CpuDevice::new(2, isa).expect("the level is available");
        for variant in VARIANTS {
            let name = variant.name;
            let model = ModelFile::new(model(variant)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut engine = Engine::new(&device, &model, &support::OPTIONS).unwrap_or_else(|e| panic!("{name}: {e}"));
            let sequence = engine.create_sequence().expect("a fresh engine has room");
            let mut found = Vec::new();
            let tokens = support::tokens();
            let entry = Entry { sequence, tokens: &tokens, wanted: Wanted::From(0) };
            engine.evaluate(&[entry], &mut |row| found.extend_from_slice(row.values)).expect("the step fits");
            let error = support::normalised_error(&found, &support::expected(&format!("variants/{name}")));
            println!("{name}, {isa}: {error:.3e}");
            assert!(error < variant.tolerance, "{name}, {isa}: error {error:.3e}, allowed {:.0e}", variant.tolerance);
        }
    }
}
