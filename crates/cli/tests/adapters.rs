//! `--lora` in the commands that load a model.

mod support;

use std::fs;
use std::path::Path;

use ascua::gguf::{GgufWriter, Metadata, TensorType};
use serde_json::{Map, Value, json};
use support::Bench;

/// Writes an adapter for the output of the tiny model.
fn adapter(path: &Path, architecture: &str) {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", architecture);
    metadata.insert("general.type", "adapter");
    metadata.insert("adapter.type", "lora");
    metadata.insert("adapter.lora.alpha", 4.0f32);
    let mut writer = GgufWriter::new(metadata);
    let vocabulary = u64::from(support::FIRST_PIECE) + support::PIECES.len() as u64;
    for (name, shape) in [("output.weight.lora_a", [32, 2]), ("output.weight.lora_b", [2, vocabulary])] {
        let values = (0..shape[0] * shape[1]).map(|at| ((at * 7919) % 101) as f32 / 101.0 - 0.5);
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        writer.add(name, shape.to_vec(), TensorType::F32, bytes).unwrap();
    }
    writer.write_file(path).unwrap();
}

#[test]
fn adapters_change_answers_by_their_scale() {
    let bench = Bench::new();
    let at = |name: &str| bench.directory.path().join(name);
    adapter(&at("a.gguf"), "llama");
    // A name with a colon is no scale.
    #[cfg(not(windows))]
    fs::copy(at("a.gguf"), at("a:2")).unwrap();
    let logits = |flags: &[&str]| {
        let words = ["logits", "{model}", "--tokens", "1,7,262", "--precision", "exact", "-o", "out.f32"];
        bench.run(&[&words, flags].concat()).success();
        let bytes = fs::read(at("out.f32")).unwrap();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<f32>>()
    };
    let plain = logits(&[]);
    let whole = logits(&["--lora", "a.gguf"]);
    assert_eq!(logits(&["--lora", "a.gguf:0"]), plain);
    #[cfg(not(windows))]
    assert_eq!(logits(&["--lora", "a:2"]), whole);
    // It stands beside the output alone, so logits change in proportion.
    let close = |found: &[f32], factor: f32| {
        let expected = plain.iter().zip(&whole).map(|(plain, whole)| plain + factor * (whole - plain));
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{factor}: {apart}");
    };
    assert!(plain.iter().zip(&whole).any(|(a, b)| (a - b).abs() > 0.1));
    close(&logits(&["--lora", "a.gguf:0.5"]), 0.5);
    close(&logits(&["--lora", "a.gguf:-1.5"]), -1.5);
    close(&logits(&["--lora", "a.gguf", "--lora", "a.gguf:0.25"]), 1.25);

    let answer =
        |flags: &[&str]| bench.run(&[&["run", "{model}", "the cat", "--temp", "0", "-n", "16"], flags].concat());
    let adapted = answer(&["--ignore-eos", "-v", "--lora", "a.gguf:8"]);
    assert!(adapted.stderr.contains("adapter a.gguf: scale 8, rank 2, 1 weights"), "{adapted:?}");
    assert_ne!(adapted.success(), answer(&["--ignore-eos"]).success());
}

#[test]
fn an_adapter_in_the_wrong_place_or_of_another_model_is_told() {
    let bench = Bench::new();
    adapter(&bench.directory.path().join("a.gguf"), "llama");
    adapter(&bench.directory.path().join("other.gguf"), "qwen2");
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["run", "a.gguf", "hi"], 1, &["is an adapter", "hint: ascua run MODEL --lora FILE"]),
        (&["run", "{model}", "hi", "--lora", "missing.gguf"], 1, &["missing.gguf: "]),
        (&["run", "{model}", "hi", "--lora", "missing.gguf:0.5"], 1, &["missing.gguf: "]),
        (&["run", "{model}", "hi", "--lora", "a.gguf:strong"], 2, &["`strong` is not a scale"]),
        (
            &["run", "{model}", "hi", "--lora", "{model}"],
            1,
            &["tiny.gguf: `general.type` is missing", "hint: the model"],
        ),
        (
            &["run", "{model}", "hi", "--lora", "other.gguf"],
            1,
            &[
                "adapter other.gguf: is for the architecture `qwen2`, but the model is `llama`",
                "hint: an adapter works",
            ],
        ),
    ];
    for (arguments, code, expected) in cases {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {ended:?}");
        for part in *expected {
            assert!(ended.stderr.contains(part), "{arguments:?}: no `{part}` in {ended:?}");
        }
    }
    assert!(bench.run(&["info", "a.gguf"]).success().contains("is an adapter"));
    bench.run(&["gguf", "check", "a.gguf"]).success();
    let mut metadata = Metadata::new();
    for (key, value) in [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")] {
        metadata.insert(key, value);
    }
    let mut writer = GgufWriter::new(metadata);
    writer.add("output.weight.lora_a", vec![32, 2], TensorType::F32, vec![0; 256]).unwrap();
    writer.write_file(bench.directory.path().join("half.gguf")).unwrap();
    let ended = bench.run(&["gguf", "check", "half.gguf"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("`output.weight.lora_a` has no partner `output.weight.lora_b`"), "{ended:?}");
}

/// Writes an adapter of PEFT beside the keys of the tiny model, and a directory that describes that model.
fn peft(directory: &Path) {
    let (base, adapter) = (directory.join("base"), directory.join("peft"));
    fs::create_dir_all(&base).unwrap();
    fs::create_dir_all(&adapter).unwrap();
    let config = json!({"architectures": ["LlamaForCausalLM"], "num_attention_heads": 4, "num_key_value_heads": 2});
    fs::write(base.join("config.json"), config.to_string()).unwrap();
    let settings = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "someone/tiny"});
    fs::write(adapter.join("adapter_config.json"), settings.to_string()).unwrap();
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (half, shape) in [("lora_A", [2, 32]), ("lora_B", [16, 2])] {
        let start = data.len();
        for at in 0..shape[0] * shape[1] {
            data.extend_from_slice(&(((at * 7919) % 101) as f32 / 101.0 - 0.5).to_le_bytes());
        }
        let name = format!("base_model.model.model.layers.1.self_attn.k_proj.{half}.weight");
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    fs::write(adapter.join("adapter_model.safetensors"), file).unwrap();
}

#[test]
fn an_adapter_of_peft_is_converted_or_taken_as_it_is() {
    let bench = Bench::new();
    peft(bench.directory.path());
    let converted = bench.run(&["convert", "peft", "--base", "base", "-o", "k.gguf"]).success();
    assert!(converted.contains("32.00 bits per weight") && converted.contains("k.gguf"), "{converted}");
    let dump = bench.run(&["gguf", "dump", "k.gguf"]).success();
    assert!(dump.contains("blk.1.attn_k.weight.lora_a") && dump.contains("adapter.lora.alpha"), "{dump}");
    bench.run(&["convert", "peft", "--base", "base", "--type", "F16"]).success();
    assert!(bench.directory.path().join("peft-F16.gguf").exists());
    let logits = |flags: &[&str]| {
        let words = ["logits", "{model}", "--tokens", "1,7,262", "--precision", "exact", "-o", "out.f32"];
        let ended = bench.run(&[&words, flags].concat());
        ended.success();
        fs::read(bench.directory.path().join("out.f32")).unwrap()
    };
    let beside = logits(&["--lora", "k.gguf:2"]);
    assert_ne!(beside, logits(&[]));
    let absolute = bench.directory.path().join("base");
    let settings = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": absolute});
    let elsewhere = bench.run(&["run", "{model}", "hi", "--lora", "peft"]);
    assert!(elsewhere.stderr.contains("the base model `someone/tiny`, which is no directory here"), "{elsewhere:?}");
    assert!(elsewhere.stderr.contains("hint: ascua convert ADAPTER --base DIR"), "{elsewhere:?}");
    fs::write(bench.directory.path().join("peft/adapter_config.json"), settings.to_string()).unwrap();
    assert_eq!(logits(&["--lora", "peft:2"]), beside);

    let cases: &[(&[&str], i32, &str)] = &[
        (&["run", "peft", "hi"], 2, "peft is a LoRA adapter, not a model\nhint: the model it was made for goes first"),
        (&["convert", "base", "--base", "base"], 2, "base is not the directory of a LoRA adapter"),
        (&["convert", "peft", "--type", "Q4_K_M"], 2, "an adapter cannot be Q4_K_M"),
        (&["convert", "peft", "--pure"], 2, "--pure is for models"),
        (&["convert", "peft", "--no-tokenizer"], 2, "--no-tokenizer is for models"),
        (&["convert", "peft", "--base", "nowhere"], 1, "nowhere: is not a directory"),
        (&["convert", "peft", "-o", "k.gguf"], 1, "k.gguf exists\nhint: --force replaces it"),
        (&["convert", "peft", "-o", "peft/adapter_model.safetensors", "--force"], 1, "is the input too"),
    ];
    for (arguments, code, expected) in cases {
        let ended = bench.run(arguments);
        assert!(ended.code == Some(*code) && ended.stderr.contains(expected), "{arguments:?}: {ended:?}");
    }

    let settings = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_dora": true});
    fs::write(bench.directory.path().join("peft/adapter_config.json"), settings.to_string()).unwrap();
    let dora = bench.run(&["convert", "peft", "--base", "base", "-o", "dora.gguf"]);
    assert_eq!(dora.code, Some(1));
    for part in ["`use_dora` is true", "hint: merge the adapter into its model with PEFT"] {
        assert!(dora.stderr.contains(part), "no `{part}` in {dora:?}");
    }
}
