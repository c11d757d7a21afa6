//! What a checkpoint lacks, or has too much of, is named before anything is written, and leaves no file.

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ascua_convert::checkpoint::DType;
use ascua_convert::convert::{Conversion, is_checkpoint};
use ascua_convert::quantize::{FileType, Options, Overwrite, Plan};
use ascua_gguf::{Gguf, Metadata, TensorType};
use serde_json::{Value, json};
use support::{Fixture, Stored};

fn write(directory: &Path, file_type: FileType) -> Result<(), Box<dyn std::error::Error>> {
    let conversion = Conversion::open(directory, &Metadata::new())?;
    let path = directory.join("out.gguf");
    Plan::new(&conversion, Options::new(file_type))?
        .write(&path, Overwrite::Never, &mut |_| ControlFlow::Continue(()))?;
    Ok(())
}

/// The error of a checkpoint that `change` has changed.
fn check(name: &str, change: impl FnOnce(&mut Fixture, &mut Vec<Stored>), expected: &str) {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let mut fixture = Fixture::new(name);
    let mut stored = fixture.stored(DType::F32);
    change(&mut fixture, &mut stored);
    fixture.write_config(directory.path());
    support::write_parts(directory.path(), &stored, 1);
    let error = write(directory.path(), FileType::F16).expect_err(expected).to_string();
    assert!(error.contains(expected), "found `{error}`, expected `{expected}`");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "config.json and the weights, but not {left:?}");
}

fn set(key: &'static str, value: Value) -> impl FnOnce(&mut Fixture, &mut Vec<Stored>) {
    move |fixture, _| drop(fixture.config.insert(key.into(), value))
}

fn without(name: &'static str) -> impl FnOnce(&mut Fixture, &mut Vec<Stored>) {
    move |_, stored| stored.retain(|tensor| tensor.name != name)
}

#[test]
fn what_is_wrong_with_a_checkpoint_is_named() {
    check("llama", set("architectures", json!(["NewForCausalLM"])), "class `NewForCausalLM` is not supported");
    check("llama", set("architectures", Value::Null), "`architectures` is missing");
    check("llama", set("hidden_act", json!("relu")), "`hidden_act` is \"relu\", wanted \"silu\"");
    check(
        "llama",
        set("num_attention_heads", json!("four")),
        "`num_attention_heads` is \"four\", wanted a whole number",
    );
    check("llama", set("num_attention_heads", json!(0)), "cannot be divided by 0");
    check("llama", set("num_attention_heads", json!(u64::MAX)), "cannot be divided by");
    check("llama", set("hidden_size", Value::Null), "`hidden_size` or `n_embd` or `dim` is missing");
    check("llama", set("num_hidden_layers", json!(3)), "tensor `blk.2.attn_norm.weight` is missing");
    check("llama", set("num_hidden_layers", json!(1)), "are not part of architecture `llama`");
    check("llama", set("intermediate_size", json!(40)), "has shape [32, 48], expected [32, 40]");
    check("llama", set("rope_scaling", json!({"type": "new"})), "`rope_scaling.rope_type` is `new`");
    check("llama", set("quantization_config", json!({"quant_method": "gptq"})), "quantised by `gptq`");
    check("phi3-longrope", set("partial_rotary_factor", json!(0.25)), "`long_factor` is a list of 2");
    check("gemma3-new", set("layer_types", json!(["full_attention"])), "`layer_types` is \"full_attention\" at 0");
    check("gemma3", set("query_pre_attn_scalar", json!(8)), "`query_pre_attn_scalar` is 8, wanted 16");
    check("qwen2moe", set("norm_topk_prob", json!(true)), "`norm_topk_prob` is true");
    check("qwen3moe", set("norm_topk_prob", Value::Null), "`norm_topk_prob` is false");

    check("llama", without("model.layers.1.mlp.up_proj.weight"), "tensor `blk.1.ffn_up.weight` is missing");
    check("llama", without("model.embed_tokens.weight"), "tensor `token_embd.weight` is missing");
    let expert = "model.layers.1.mlp.experts.2.up_proj.weight";
    check("qwen3moe", without(expert), "`blk.1.ffn_up_exps.weight`: expert 2 of 4 is missing");
    let last = "model.layers.1.mlp.experts.3.up_proj.weight";
    check("qwen3moe", without(last), "tensor `blk.1.ffn_up_exps.weight` has shape [32, 24, 3], expected [32, 24, 4]");
    let surplus = |_: &mut Fixture, stored: &mut Vec<Stored>| {
        stored.push(Stored::new("model.layers.0.extra.weight", &[1], DType::F32, &[0.0]));
    };
    check("llama", surplus, "model.safetensors: tensor `model.layers.0.extra.weight` is not part of LlamaForCausalLM");
    let bytes = |_: &mut Fixture, stored: &mut Vec<Stored>| {
        stored[3] = Stored { dtype: DType::I32, ..stored[3].clone() };
    };
    check("llama", bytes, "is I32, wanted floats");
    let damaged = |_: &mut Fixture, stored: &mut Vec<Stored>| {
        let tensor = stored.iter_mut().find(|tensor| tensor.name.ends_with("1.mlp.up_proj.weight")).unwrap();
        tensor.bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    check("llama", damaged, "tensor `blk.1.ffn_up.weight` holds NaN (element 100): the model is damaged");
}

#[test]
fn scales_must_fit_their_weights() {
    let name = "model.layers.0.mlp.up_proj.weight_scale_inv";
    for (shape, expected) in [(vec![2, 2], "does not fit"), (vec![5], "does not fit"), (vec![3, 1], "")] {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let fixture = Fixture::new("qwen3-fp8");
        let mut stored = fixture.stored(DType::F8E4M3);
        let count = shape.iter().product::<u64>() as usize;
        let scale = stored.iter_mut().find(|tensor| tensor.name == name).unwrap();
        *scale = Stored::new(name, &shape, DType::F32, &vec![1.0; count]);
        fixture.write_config(directory.path());
        support::write_parts(directory.path(), &stored, 1);
        let found = write(directory.path(), FileType::F16).map_or_else(|error| error.to_string(), |()| String::new());
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{shape:?}: {found}");
    }
}

#[test]
fn the_usual_types_are_what_they_are_elsewhere() {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let fixture = Fixture::new("qwen2moe");
    assert!(!is_checkpoint(directory.path()));
    fixture.write_config(directory.path());
    assert!(!is_checkpoint(directory.path()));
    support::write_parts(directory.path(), &fixture.stored(DType::BF16), 2);
    assert!(is_checkpoint(directory.path()));
    let conversion = Conversion::open(directory.path(), &Metadata::new()).expect("it is whole");
    assert_eq!(conversion.closest_file_type(), FileType::BF16);
    write(directory.path(), FileType::BF16).expect("it is written");
    let written = Gguf::open(directory.path().join("out.gguf")).expect("it is read");
    for (name, expected) in [
        ("token_embd.weight", TensorType::BF16),
        ("blk.0.ffn_up_exps.weight", TensorType::BF16),
        ("blk.0.ffn_gate_inp.weight", TensorType::F32),
        ("blk.0.ffn_gate_inp_shexp.weight", TensorType::F32),
        ("blk.0.attn_q.bias", TensorType::F32),
        ("output_norm.weight", TensorType::F32),
    ] {
        assert_eq!(written.tensor(name).map(|tensor| tensor.tensor_type), Some(expected), "{name}");
    }
    let again = write(directory.path(), FileType::BF16).expect_err("it exists").to_string();
    assert!(again.contains("out.gguf exists"), "{again}");
}
