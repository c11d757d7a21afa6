//! Files of the `gguf` package of PyPI (0.19.0): every value type, plain and block tensors, and the same big-endian.

use ascua_gguf::{Array, Gguf, GgufWriter, StringArray, TensorType, Value};

const LITTLE_ENDIAN: &[u8] = include_bytes!("data/python.gguf");
const BIG_ENDIAN: &[u8] = include_bytes!("data/python-big-endian.gguf");

#[test]
fn a_file_of_the_python_package_is_read() {
    let gguf = Gguf::from_bytes(LITTLE_ENDIAN).unwrap();
    let wanted = [
        ("general.architecture", Value::from("llama")),
        ("t.u8", Value::U8(200)),
        ("t.i8", Value::I8(-100)),
        ("t.u16", Value::U16(60_000)),
        ("t.i16", Value::I16(-30_000)),
        ("t.u32", Value::U32(4_000_000_000)),
        ("t.i32", Value::I32(-2_000_000_000)),
        ("t.f32", Value::F32(0.1)),
        ("t.bool", Value::Bool(true)),
        ("t.string", Value::from("héllo 語 😀")),
        ("t.u64", Value::U64(u64::MAX)),
        ("t.i64", Value::I64(i64::MIN)),
        ("t.f64", Value::F64(1e300)),
        ("t.strings", StringArray::from_iter(["a", "", "语"]).into()),
        ("t.ints", Value::from(vec![1i32, -2, 3])),
        ("t.floats", Value::from(vec![0.5f32, -1.25])),
        ("t.bools", Value::from(vec![true, false])),
        ("tokenizer.ggml.tokens", StringArray::from_iter([&b"\xff\xfe"[..], b"ok", b""]).into()),
        ("t.bytes", Value::from(vec![0u8, 1, 255])),
        ("t.nested", Value::Array(Array::Array(vec![Array::I32(vec![1, 2]), Array::I32(vec![3])]))),
    ];
    let found: Vec<_> = gguf.metadata().iter().map(|(key, value)| (key, value.clone())).collect();
    assert_eq!(found, wanted);

    let tensors: Vec<_> = gguf.tensors().iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.tensor_type)).collect();
    let wanted: [(&str, &[u64], TensorType); 5] = [
        ("f32", &[3, 2], TensorType::F32),
        ("f16", &[5], TensorType::F16),
        ("i32", &[1, 2, 2, 1], TensorType::I32),
        ("q4_0", &[64, 3], TensorType::Q4_0),
        ("q8_0", &[32, 2], TensorType::Q8_0),
    ];
    assert_eq!(tensors, wanted);
    let data = |name: &str| gguf.data(gguf.tensor(name).unwrap());
    assert_eq!(*data("f32"), *(0..6u8).flat_map(|value| f32::from(value).to_le_bytes()).collect::<Vec<_>>());
    assert_eq!(*data("i32"), *(0..4i32).flat_map(i32::to_le_bytes).collect::<Vec<_>>());
    assert_eq!((data("q4_0").len(), data("q8_0").len()), (2 * 3 * 18, 2 * 34));
}

#[test]
fn what_the_python_package_wrote_is_written_the_same() {
    let gguf = Gguf::from_bytes(LITTLE_ENDIAN).unwrap();
    let mut again = Vec::new();
    GgufWriter::copy_of(&gguf).unwrap().write_to(&mut again).unwrap();
    assert!(again == LITTLE_ENDIAN, "byte for byte");
}

#[test]
fn a_big_endian_file_is_named_as_such() {
    let error = Gguf::from_bytes(BIG_ENDIAN).unwrap_err();
    let wanted = "<memory>: the file is big-endian GGUF version 3; only little-endian files are read";
    assert_eq!(error.to_string(), wanted);
}
