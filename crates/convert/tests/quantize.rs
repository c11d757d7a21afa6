//! Whole files quantised: what is in them, and what stands in the way leaves nothing behind.

use std::ops::ControlFlow;
use std::path::Path;

use ascua_convert::quantize::{FileType, Options, Plan, QuantizeError};
use ascua_gguf::{Gguf, GgufWriter, Metadata, Overwrite, TargetError, TensorType, Value};

const NAMES: [&str; 3] = ["token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_q.weight"];
const NORM: &str = "output_norm.weight";
/// Two super-blocks and a row that is none.
const COLUMNS: [u64; 3] = [512, 512, 96];
const ROWS: u64 = 5;

fn values(seed: usize, count: u64) -> Vec<f32> {
    (0..count as usize).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// A small model in F32; `damage` may change the values of a tensor.
fn model(damage: impl Fn(&str, &mut Vec<f32>)) -> Gguf {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", Value::String("llama".into()));
    for (key, value) in [("block_count", 2u32), ("attention.head_count", 1), ("attention.head_count_kv", 1)] {
        metadata.insert(format!("llama.{key}"), value);
    }
    let mut writer = GgufWriter::new(metadata);
    let mut add = |name: &str, shape: &[u64]| {
        let mut values = values(name.len(), shape.iter().product());
        damage(name, &mut values);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        writer.add(name, shape, TensorType::F32, bytes).unwrap();
    };
    NAMES.iter().zip(COLUMNS).for_each(|(name, columns)| add(name, &[columns, ROWS]));
    add(NORM, &[512]);
    let mut file = Vec::new();
    writer.write_to(&mut file).unwrap();
    Gguf::from_bytes(file).unwrap()
}

fn quantize(gguf: &Gguf, options: Options<'_>, path: &Path, overwrite: Overwrite) -> Result<(), QuantizeError> {
    Plan::new(gguf, options)?.write(path, overwrite, &mut |_| ControlFlow::Continue(())).map(drop)
}

/// Quantises and compares each tensor's bytes with those of its rows encoded one by one.
fn check(file_type: FileType, threads: usize, expected: [TensorType; 3]) {
    let gguf = model(|_, _| ());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.gguf");
    let mut options = Options::new(file_type);
    (options.threads, options.pure) = (threads, true);
    quantize(&gguf, options, &path, Overwrite::Never).unwrap();
    let out = Gguf::open(&path).unwrap();
    assert_eq!(out.tensor(NORM).map(|tensor| tensor.tensor_type), Some(TensorType::F32), "{file_type}");
    for (name, tensor_type) in NAMES.iter().zip(expected) {
        let tensor = out.tensor(name).unwrap();
        assert_eq!(tensor.tensor_type, tensor_type, "{file_type}: {name}");
        let columns = tensor.row_elements() as usize;
        let mut bytes = vec![0; tensor.bytes() as usize];
        let rows = values(name.len(), columns as u64 * ROWS);
        for (row, bytes) in rows.chunks(columns).zip(bytes.chunks_mut(tensor.bytes() as usize / ROWS as usize)) {
            ascua_quant::format(tensor_type).encode_row(row, bytes).unwrap();
        }
        assert!(out.data(tensor)[..] == bytes[..], "{file_type}, {threads} threads: {name}");
    }
}

#[test]
fn tensors_are_their_encoded_rows_and_odd_rows_fall_back() {
    use TensorType::*;
    for (name, expected) in [
        ("Q8_0", [Q8_0, Q8_0, Q8_0]),
        ("Q4_0", [Q4_0, Q4_0, Q4_0]),
        ("Q4_K_M", [Q4_K, Q4_K, Q5_0]),
        ("Q6_K", [Q6_K, Q6_K, Q8_0]),
        ("BF16", [BF16, BF16, BF16]),
    ] {
        let file_type = name.parse().unwrap();
        [1, 3].into_iter().for_each(|threads| check(file_type, threads, expected));
    }
}

#[test]
fn what_stands_in_the_way_is_named_and_leaves_no_file() {
    let whole = |_: &str, _: &mut Vec<f32>| ();
    let damaged = |name: &str, values: &mut Vec<f32>| {
        if name == NAMES[1] {
            values[700] = f32::NAN;
        }
    };
    let cases: [(Gguf, &str, bool, &str); 4] = [
        (model(damaged), "Q8_0", false, "tensor `blk.0.attn_q.weight` holds NaN (element 700): the model is damaged"),
        (model(whole), "IQ2_XXS", false, "garbage without an importance matrix"),
        (model(whole), "Q8_0", true, "out.gguf exists"),
        (model(damaged), "F32", false, "holds NaN"),
    ];
    for (gguf, file_type, there, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.gguf");
        if there {
            std::fs::write(&path, "mine").unwrap();
        }
        let options = Options::new(file_type.parse().unwrap());
        let error = quantize(&gguf, options, &path, Overwrite::Never).unwrap_err().to_string();
        assert!(error.contains(expected), "{file_type}: {error}");
        let left: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), usize::from(there), "{file_type}: {left:?}");
        if there {
            assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        }
    }
}

#[test]
fn a_quantised_model_is_quantised_again_only_when_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first.gguf"), directory.path().join("second.gguf"));
    let file_type = |name: &str| Options::new(name.parse().unwrap());
    quantize(&model(|_, _| ()), file_type("Q8_0"), &first, Overwrite::Never).unwrap();
    let gguf = Gguf::open(&first).unwrap();
    let refused = quantize(&gguf, file_type("Q4_0"), &second, Overwrite::Never).unwrap_err();
    assert!(matches!(refused, QuantizeError::Requantise { found: TensorType::Q8_0, .. }), "{refused}");
    let mut allowed = file_type("Q4_0");
    allowed.allow_requantize = true;
    quantize(&gguf, allowed, &second, Overwrite::Never).unwrap();
    let same = quantize(&gguf, file_type("Q8_0"), &first, Overwrite::Replace).unwrap_err();
    assert!(matches!(same, QuantizeError::Target(TargetError::Same { .. })), "{same}");
}
