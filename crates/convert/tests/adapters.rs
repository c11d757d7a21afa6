//! Adapters of PEFT, converted, beside their converted models: they answer as PEFT does, and as the checkpoint with the
//! adapter merged into it does, converted; and what cannot be converted is told.

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ascua_convert::checkpoint::DType;
use ascua_convert::convert::{AdapterOptions, Conversion, ConvertError, PeftAdapter, is_peft};
use ascua_convert::quantize::{FileType, Options, Overwrite, Plan};
use ascua_engine::ModelFile;
use ascua_gguf::{Gguf, Metadata, TensorType};
use ascua_models::Adapter;
use serde_json::{Map, Value, json};
use support::{Fixture, Stored, normalised_error, values};

/// The largest error, relative to the size of the logits.
const TOLERANCE: f64 = 1e-6;

/// The model of a checkpoint's tensors, in F32.
fn model(fixture: &Fixture, stored: &[Stored]) -> Gguf {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    fixture.write_config(directory.path());
    support::write_parts(directory.path(), stored, 1);
    let conversion = Conversion::open(directory.path(), &Metadata::new()).unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(&conversion, Options::new(FileType::F32)).expect("every tensor has a type");
    Gguf::from_bytes(plan.to_bytes().expect("memory takes it")).expect("what was written is read")
}

/// Writes an adapter's directory.
fn write_adapter(directory: &Path, settings: &Map<String, Value>, tensors: &[Stored]) {
    fs::write(directory.join("adapter_config.json"), json!(settings).to_string()).expect("the directory takes it");
    fs::write(directory.join("adapter_model.safetensors"), support::safetensors(tensors)).expect("it takes it");
}

fn opened(directory: &Path, options: &AdapterOptions<'_>) -> Result<Conversion, ConvertError> {
    PeftAdapter::open(directory)?.conversion(options)
}

fn convert(directory: &Path, base: Option<&Path>, file_type: FileType) -> Result<Gguf, String> {
    let options = AdapterOptions { base, file_type, tokens: None };
    let conversion = opened(directory, &options).map_err(|error| error.to_string())?;
    let plan = Plan::new(&conversion, Options { copy: true, ..Options::new(file_type) });
    let bytes = plan.and_then(|plan| plan.to_bytes()).map_err(|error| error.to_string())?;
    Ok(Gguf::from_bytes(bytes).expect("what was written is read"))
}

/// The converted adapter for a model that is described, but whose weights are not there.
fn adapter(fixture: &Fixture, settings: &Map<String, Value>, tensors: &[Stored], file_type: FileType) -> Gguf {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let base = directory.path().join("base");
    fs::create_dir(&base).expect("the directory takes it");
    fixture.write_config(&base);
    write_adapter(directory.path(), settings, tensors);
    convert(directory.path(), Some(&base), file_type).unwrap_or_else(|error| panic!("{error}"))
}

fn logits(model: Gguf, adapters: Vec<Adapter>) -> Vec<f32> {
    let model = ModelFile::new(model).and_then(|model| model.with_adapters(adapters));
    support::logits(&model.unwrap_or_else(|error| panic!("{error}")), 64)
}

fn loaded(file: Gguf) -> Adapter {
    Adapter::new(file, "adapter").unwrap_or_else(|error| panic!("{error}"))
}

/// What PEFT has saved, and its answer.
fn of_peft(name: &str) {
    let text = fs::read(support::data(&format!("{name}.json"))).expect("the fixture is part of the tests");
    let json: Value = serde_json::from_slice(&text).expect("the fixture is JSON");
    let base = Fixture::new(json["base"].as_str().expect("the fixture names its model"));
    let settings = json["settings"].as_object().expect("the fixture has settings");
    let tensors = json["tensors"].as_object().expect("the fixture has tensors");
    let tensors: Vec<Stored> = tensors
        .iter()
        .map(|(name, shape)| {
            let shape: Vec<u64> = shape.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            Stored::new(name, &shape, DType::F32, &small(name, &shape))
        })
        .collect();
    let plain = model(&base, &base.stored(DType::F32));
    let expected = support::expected(name);
    let without = normalised_error(&logits(model(&base, &base.stored(DType::F32)), Vec::new()), &expected);
    let beside = loaded(adapter(&base, settings, &tensors, FileType::F32));
    let found = normalised_error(&logits(plain, vec![beside]), &expected);
    println!("{name}: {found:.1e}, without the adapter {without:.1e}");
    assert!(found < TOLERANCE && without > 1e-2, "{name}: error {found:.1e}, without the adapter {without:.1e}");
}

#[test]
fn adapters_answer_as_with_peft() {
    for name in ["lora-llama", "lora-llama-patterns", "lora-qwen2", "lora-qwen3", "lora-gemma3", "lora-phi3"] {
        of_peft(name);
    }
}

fn settings(rank: u64, alpha: f64) -> Map<String, Value> {
    let Value::Object(settings) = json!({"peft_type": "LORA", "r": rank, "lora_alpha": alpha}) else { unreachable!() };
    settings
}

/// A quarter of what the rule gives, as in `data/make.py`: a pair is small beside its weight.
fn small(name: &str, shape: &[u64]) -> Vec<f32> {
    values(name, shape).iter().map(|value| value / 4.0).collect()
}

/// A pair beside every matrix of a checkpoint, and the checkpoint with them merged into it. Its output is its own then.
fn merged(fixture: &Fixture, rank: u64, factor: f32) -> (Vec<Stored>, Fixture, Vec<Stored>) {
    let (mut pairs, mut merged) = (Vec::new(), Vec::new());
    let mut matrices = fixture.tensors.clone();
    let is_tied = fixture.config.get("tie_word_embeddings") == Some(&json!(true));
    if is_tied {
        let table = matrices.iter().find(|(name, _)| name == "model.embed_tokens.weight").expect("it is there");
        matrices.push(("lm_head.weight".into(), table.1.clone()));
    }
    for (name, shape) in matrices {
        let source = if is_tied && name == "lm_head.weight" { "model.embed_tokens.weight" } else { &name };
        let mut weight = values(source, &shape);
        if let [rows, columns] = *shape {
            let module = format!("base_model.model.{}", name.strip_suffix(".weight").expect("matrices are weights"));
            let is_table = module.ends_with("embed_tokens") || module.ends_with(".wte");
            let (down_rows, up_rows) = if is_table { (rows, columns) } else { (columns, rows) };
            let [down_name, up_name] = match is_table {
                true => [format!("{module}.lora_embedding_A"), format!("{module}.lora_embedding_B")],
                false => [format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight")],
            };
            let (down_shape, up_shape) = ([rank, down_rows], [up_rows, rank]);
            let (down, up) = (small(&down_name, &down_shape), small(&up_name, &up_shape));
            for row in 0..rows {
                for column in 0..columns {
                    let (inner, outer) = if is_table { (row, column) } else { (column, row) };
                    let product: f32 = (0..rank)
                        .map(|r| up[(outer * rank + r) as usize] * down[(r * down_rows + inner) as usize])
                        .sum();
                    weight[(row * columns + column) as usize] += factor * product;
                }
            }
            pairs.push(Stored::new(&down_name, &down_shape, DType::F32, &down));
            pairs.push(Stored::new(&up_name, &up_shape, DType::F32, &up));
        }
        merged.push(Stored::new(&name, &shape, DType::F32, &weight));
    }
    let mut config = fixture.config.clone();
    config.insert("tie_word_embeddings".into(), json!(false));
    (pairs, Fixture { config, tensors: Vec::new() }, merged)
}

#[test]
fn adapters_answer_as_merged_checkpoints() {
    for name in ["llama3", "mixtral", "qwen", "qwen2moe", "qwen3moe", "baichuan-7b", "gemma3-new", "phi3-longrope"] {
        let fixture = Fixture::new(name);
        let (pairs, whole, weights) = merged(&fixture, 3, 0.5 * 6.0 / 3.0);
        let expected = logits(model(&whole, &weights), Vec::new());
        let plain = || model(&fixture, &fixture.stored(DType::F32));
        let file = adapter(&fixture, &settings(3, 6.0), &pairs, FileType::F32);
        let beside = loaded(file).scaled(0.5).expect("a number");
        let found = normalised_error(&logits(plain(), vec![beside]), &expected);
        let without = normalised_error(&logits(plain(), Vec::new()), &expected);
        println!("{name}: {found:.1e}, without the adapter {without:.1e}");
        assert!(found < TOLERANCE && without > 1e-3, "{name}: error {found:.1e}, without the adapter {without:.1e}");
    }
}

#[test]
fn shapes_types_and_keys_are_those_of_the_format() {
    let fixture = Fixture::new("mixtral");
    let (pairs, ..) = merged(&fixture, 3, 1.0);
    let file = adapter(&fixture, &settings(3, 6.0), &pairs, FileType::Q8_0);
    let metadata = file.metadata();
    for (key, expected) in [("general.type", "adapter"), ("adapter.type", "lora"), ("general.architecture", "llama")] {
        assert_eq!(metadata.string(key).ok().flatten(), Some(expected), "{key}");
    }
    assert_eq!(metadata.float("adapter.lora.alpha").ok().flatten(), Some(6.0));
    assert_eq!(metadata.unsigned("general.file_type").ok().flatten(), Some(7));
    for (name, shape, tensor_type) in [
        ("blk.1.attn_k.weight.lora_a", vec![32, 3], TensorType::Q8_0),
        // Rows of three elements are no block of 32.
        ("blk.1.attn_k.weight.lora_b", vec![3, 16], TensorType::F16),
        ("blk.0.ffn_gate_exps.weight.lora_a", vec![32, 3, 4], TensorType::Q8_0),
        ("blk.0.ffn_gate_exps.weight.lora_b", vec![3, 48, 4], TensorType::F16),
        ("token_embd.weight.lora_a", vec![3, 64], TensorType::F16),
        ("token_embd.weight.lora_b", vec![3, 32], TensorType::F16),
    ] {
        let tensor = file.tensor(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((&tensor.shape, tensor.tensor_type), (&shape, tensor_type), "{name}");
    }
}

#[test]
fn surplus_tokens_are_left_out_where_the_model_leaves_them_out() {
    for (name, expected) in [("gemma3", 60), ("llama", support::VOCABULARY)] {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let fixture = Fixture::new(name);
        fixture.write_config(directory.path());
        let (pairs, ..) = merged(&fixture, 3, 1.0);
        write_adapter(directory.path(), &settings(3, 6.0), &pairs);
        let base = Some(directory.path());
        let options = AdapterOptions { base, file_type: FileType::F32, tokens: Some(60) };
        let conversion = opened(directory.path(), &options).unwrap_or_else(|error| panic!("{error}"));
        let plan = Plan::new(&conversion, Options { copy: true, ..Options::new(FileType::F32) }).expect("a plan");
        let file = Gguf::from_bytes(plan.to_bytes().expect("memory takes it")).expect("it is read");
        let found =
            ["token_embd.weight.lora_a", "output.weight.lora_b"].map(|name| file.tensor(name).map(|t| t.shape[1]));
        assert_eq!(found, [Some(expected); 2], "{name}");
    }
}

#[test]
fn a_file_is_written_and_its_base_is_found() {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let at = |name: &str| directory.path().join(name);
    let fixture = Fixture::new("llama");
    fs::create_dir_all(at("base")).expect("the directory takes it");
    fixture.write_config(&at("base"));
    let (pairs, ..) = merged(&fixture, 3, 1.0);
    let mut settings = settings(3, 6.0);
    assert!(!is_peft(directory.path()));
    write_adapter(directory.path(), &settings, &pairs);
    assert!(is_peft(directory.path()));
    let error = convert(directory.path(), None, FileType::F32).map(|_| ()).expect_err("no base");
    assert!(error.contains("names the base model not at all"), "{error}");
    settings.insert("base_model_name_or_path".into(), json!("someone/somewhere"));
    write_adapter(directory.path(), &settings, &pairs);
    let error = convert(directory.path(), None, FileType::F32).map(|_| ()).expect_err("no base");
    assert!(error.contains("the base model `someone/somewhere`, which is no directory here"), "{error}");
    settings.insert("base_model_name_or_path".into(), json!(at("base")));
    write_adapter(directory.path(), &settings, &pairs);
    assert_eq!(PeftAdapter::open(directory.path()).expect("it is read").base(), Some(at("base").as_path()));
    let options = AdapterOptions { base: None, file_type: FileType::F32, tokens: None };
    let conversion = opened(directory.path(), &options).unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(&conversion, Options { copy: true, ..Options::new(FileType::F32) }).expect("a plan");
    let written = plan.write(&at("out.gguf"), Overwrite::Never, &mut |_| ControlFlow::Continue(()));
    assert_eq!(written.expect("it is written"), [at("out.gguf")]);
    assert_eq!(fs::read(at("out.gguf")).expect("it is there"), plan.to_bytes().expect("memory takes it"));
}

/// The error of an adapter of the tiny llama that `change` has changed.
fn refusal(change: impl FnOnce(&mut Map<String, Value>, &mut Vec<Stored>)) -> String {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let base = directory.path().join("base");
    let fixture = Fixture::new("llama");
    fs::create_dir(&base).expect("the directory takes it");
    fixture.write_config(&base);
    let mut settings = settings(2, 4.0);
    let module = "base_model.model.model.layers.1.self_attn.k_proj";
    let shapes = [("lora_A.weight", [2, 32]), ("lora_B.weight", [16, 2])];
    let mut tensors: Vec<Stored> =
        shapes.iter().map(|(half, shape)| zeros(&format!("{module}.{half}"), shape)).collect();
    change(&mut settings, &mut tensors);
    write_adapter(directory.path(), &settings, &tensors);
    convert(directory.path(), Some(&base), FileType::F32).map(|_| "none".to_owned()).unwrap_or_else(|error| error)
}

fn zeros(name: &str, shape: &[u64]) -> Stored {
    Stored::new(name, shape, DType::F32, &vec![0.0; shape.iter().product::<u64>() as usize])
}

#[test]
fn more_than_pairs_is_refused_by_its_setting() {
    assert_eq!(refusal(|_, _| {}), "none");
    for (name, value, expected) in [
        ("peft_type", json!("LOHA"), "`peft_type` is \"LOHA\", wanted \"LORA\""),
        ("peft_type", Value::Null, "`peft_type` is missing"),
        ("use_dora", json!(true), "`use_dora` is true, wanted it off"),
        ("fan_in_fan_out", json!(true), "`fan_in_fan_out` is true"),
        ("lora_bias", json!(true), "`lora_bias` is true"),
        ("bias", json!("lora_only"), "`bias` is \"lora_only\""),
        ("modules_to_save", json!(["lm_head"]), "`modules_to_save` is [\"lm_head\"]"),
        ("trainable_token_indices", json!([1, 2]), "`trainable_token_indices` is [1,2]"),
        ("target_parameters", json!(["experts"]), "`target_parameters` is"),
        ("layer_replication", json!([[0, 1]]), "`layer_replication` is"),
        ("alora_invocation_tokens", json!([7]), "`alora_invocation_tokens` is [7]"),
        ("init_lora_weights", json!("pissa_niter_4"), "`init_lora_weights` is \"pissa_niter_4\", wanted a beginning"),
        ("lora_alpha", json!(0), "`lora_alpha` is 0, wanted a number that is not 0"),
        ("lora_alpha", json!("much"), "`lora_alpha` is \"much\""),
        ("alpha_pattern", json!({"k_(proj": 3}), "`k_(proj` in `alpha_pattern` is no regular expression"),
        ("alpha_pattern", json!({"k_proj": "x"}), "invalid type: string"),
    ] {
        let found = refusal(|settings, _| drop(settings.insert(name.into(), value.clone())));
        assert!(found.contains(expected), "{name} {value}: {found}");
    }
    for (name, value) in [
        ("bias", json!("none")),
        ("modules_to_save", json!([])),
        ("alpha_pattern", json!({})),
        ("init_lora_weights", json!(false)),
        ("init_lora_weights", json!("gaussian")),
        ("use_rslora", json!(true)),
    ] {
        assert_eq!(refusal(|settings, _| drop(settings.insert(name.into(), value))), "none", "{name}");
    }
}

#[test]
fn tensors_that_are_no_pair_are_named() {
    let k = "base_model.model.model.layers.1.self_attn.k_proj";
    let embedding = "base_model.model.model.embed_tokens";
    let add = |name: &str, shape: &[u64]| {
        let tensor = zeros(name, shape);
        refusal(move |_, tensors| tensors.push(tensor))
    };
    for (found, expected) in [
        (refusal(|_, tensors| drop(tensors.pop())), format!("`{k}.lora_A.weight` has no partner `{k}.lora_B.weight`")),
        (
            refusal(|_, tensors| drop(tensors.remove(0))),
            format!("`{k}.lora_B.weight` has no partner `{k}.lora_A.weight`"),
        ),
        (
            refusal(|_, tensors| tensors[1] = zeros(&format!("{k}.lora_B.weight"), &[16, 3])),
            "the rank of its partner is 2".into(),
        ),
        (
            refusal(|_, tensors| tensors[1] = zeros(&format!("{k}.lora_B.weight"), &[10, 2])),
            "10 rows, which cannot be divided by 4".into(),
        ),
        (
            refusal(|_, tensors| tensors[0] = zeros(&format!("{k}.lora_A.weight"), &[64])),
            "has shape [64], wanted two dim".into(),
        ),
        (
            add("base_model.model.lm_head.weight", &[64, 32]),
            "`base_model.model.lm_head.weight` is a whole weight".into(),
        ),
        (add(&format!("{k}.bias"), &[16]), "is a bias".into()),
        (add(&format!("{k}.lora_magnitude_vector"), &[16]), "is the magnitude of DoRA".into()),
        (add(&format!("{embedding}.lora_embedding_A"), &[2, 64]), "has no partner".into()),
        (
            refusal(|_, tensors| {
                *tensors = vec![
                    zeros(&format!("{embedding}.lora_A.weight"), &[2, 64]),
                    zeros(&format!("{embedding}.lora_B.weight"), &[32, 2]),
                ]
            }),
            "is for a product, but its weight is a table".into(),
        ),
        (
            refusal(|_, tensors| {
                *tensors = vec![
                    zeros(&format!("{k}.lora_embedding_A"), &[2, 32]),
                    zeros(&format!("{k}.lora_embedding_B"), &[16, 2]),
                ]
            }),
            "is for looking tokens up".into(),
        ),
        (
            refusal(|_, tensors| {
                *tensors = vec![
                    zeros("base_model.model.other.lora_A.weight", &[2, 32]),
                    zeros("base_model.model.other.lora_B.weight", &[16, 2]),
                ]
            }),
            "`base_model.model.other.lora_B.weight` is not part of LlamaForCausalLM".into(),
        ),
        (refusal(|_, tensors| tensors.clear()), "has no low-rank pairs".into()),
    ] {
        assert!(found.contains(&expected), "found `{found}`, expected `{expected}`");
    }
    // The frozen weight beside a pair is left out.
    assert_eq!(add("base_model.model.lm_head.base_layer.weight", &[64, 32]), "none");
}
