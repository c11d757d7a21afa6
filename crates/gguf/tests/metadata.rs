//! The typed getters: what each accepts, and what it says of the rest.

use ascua_gguf::{Array, Metadata, StringArray, Value};

fn metadata() -> Metadata {
    Metadata::from_iter([
        ("general.architecture", Value::from("llama")),
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-5)),
        ("u32", Value::U32(7)),
        ("i64", Value::I64(-9)),
        ("u64", Value::U64(u64::MAX)),
        ("f32", Value::F32(0.1)),
        ("f64", Value::F64(0.25)),
        ("yes", Value::Bool(true)),
        ("words", StringArray::from_iter(["a", "bc", ""]).into()),
        ("bytes", Value::from(vec![1u8, 255])),
        ("signed_bytes", Value::from(vec![1i8, -1])),
        ("i32s", Value::from(vec![1i32, -2, 3])),
        ("f32s", Value::from(vec![1.5f32, 2.5])),
        ("bools", Value::from(vec![true, false])),
        ("nested", Value::Array(Array::Array(vec![Array::U8(vec![1])]))),
    ])
}

/// Compares an answer, written as text, with what is wanted.
fn check<T: std::fmt::Debug>(found: Result<T, ascua_gguf::MetadataError>, wanted: &str) {
    let found = found.map_or_else(|error| error.to_string(), |value| format!("{value:?}"));
    assert_eq!(found, wanted);
}

#[test]
fn getters() {
    let m = metadata();
    check(m.architecture(), r#""llama""#);
    check(Metadata::new().architecture(), "metadata key `general.architecture` is missing");
    check(m.string("general.architecture"), r#"Some("llama")"#);
    check(m.string("absent"), "None");
    check(m.string("u8"), "metadata key `u8` holds a value of type u8, wanted a string");
    check(m.string("words"), "metadata key `words` holds an array of string, wanted a string");
    check(m.boolean("yes"), "Some(true)");
    check(m.boolean("u8"), "metadata key `u8` holds a value of type u8, wanted a boolean");
    check(m.unsigned("u8"), "Some(200)");
    check(m.unsigned("u64"), "Some(18446744073709551615)");
    check(m.unsigned("i8"), "metadata key `i8` holds -5, which is not an unsigned integer");
    check(m.unsigned("f32"), "metadata key `f32` holds a value of type f32, wanted an unsigned integer");
    check(m.unsigned("yes"), "metadata key `yes` holds a value of type bool, wanted an unsigned integer");
    check(m.unsigned("absent"), "None");
    check(m.signed("i64"), "Some(-9)");
    check(m.signed("u32"), "Some(7)");
    check(m.signed("u64"), "metadata key `u64` holds 18446744073709551615, which is not a signed integer");
    check(m.float("f64"), "Some(0.25)");
    check(m.float("f32").map(|value| value.map(|value| value as f32)), "Some(0.1)");
    check(m.float("i8"), "Some(-5.0)");
    check(m.float("words"), "metadata key `words` holds an array of string, wanted a number");
    check(m.strings("words"), r#"Some(["a", "bc", ""])"#);
    check(m.strings("i32s"), "metadata key `i32s` holds an array of i32, wanted an array of strings");
    check(m.floats("f32s"), "Some([1.5, 2.5])");
    check(m.floats("i32s"), "Some([1.0, -2.0, 3.0])");
    check(m.floats("f32"), "metadata key `f32` holds a value of type f32, wanted an array of numbers");
    check(m.integers("i32s"), "Some([1, -2, 3])");
    check(m.integers("bytes"), "Some([1, 255])");
    check(m.integers("nested"), "metadata key `nested` holds an array of array, wanted an array of signed integers");
    check(m.integers("f32s"), "metadata key `f32s` holds an array of f32, wanted an array of signed integers");
    check(m.unsigned_integers("bytes"), "Some([1, 255])");
    check(m.unsigned_integers("i32s"), "metadata key `i32s` holds -2, which is not an unsigned integer");
    check(m.booleans("bools"), "Some([true, false])");
    check(m.booleans("bytes"), "metadata key `bytes` holds an array of u8, wanted an array of booleans");
    check(m.bytes("bytes"), "Some([1, 255])");
    check(m.bytes("signed_bytes"), "Some([1, 255])");
    check(m.bytes("i32s"), "metadata key `i32s` holds an array of i32, wanted an array of bytes");
    check(m.unsigned_per_layer("u32", 3), "Some([7, 7, 7])");
    check(m.unsigned_per_layer("bytes", 2), "Some([1, 255])");
    check(m.unsigned_per_layer("bytes", 3), "metadata key `bytes` has 2 elements, wanted 3");
    check(m.unsigned_per_layer("absent", 3), "None");
    check(m.float_per_layer("f64", 2), "Some([0.25, 0.25])");
    check(m.float_per_layer("f32s", 2), "Some([1.5, 2.5])");
    check(m.boolean_per_layer("yes", 2), "Some([true, true])");
    check(m.boolean_per_layer("bools", 2), "Some([true, false])");
    check(m.boolean_per_layer("bools", 1), "metadata key `bools` has 2 elements, wanted 1");
}

#[test]
fn keys_keep_their_order() {
    let mut m = Metadata::from_iter([("a", 1u8), ("b", 2), ("c", 3), ("d", 4)]);
    let keys = |m: &Metadata| m.iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>().join(" ");
    assert_eq!(m.insert("b", 20u8), Some(Value::U8(2)));
    assert_eq!(keys(&m), "a b c d");
    assert_eq!(m.remove("b"), Some(Value::U8(20)));
    assert_eq!(m.remove("b"), None);
    assert_eq!(m.insert("b", 200u8), None);
    assert_eq!(keys(&m), "a c d b");
    assert_eq!(m.get("d"), Some(&Value::U8(4)));
    assert_eq!(m.get("b"), Some(&Value::U8(200)));
    assert_eq!((m.len(), m.is_empty(), m.contains("a"), m.contains("z")), (4, false, true, false));
}

#[test]
fn string_arrays() {
    let mut strings = StringArray::from_iter([&b"\xff\xfe"[..], b"", b"text"]);
    assert_eq!((strings.len(), strings.total_bytes(), strings.is_empty()), (3, 6, false));
    assert_eq!((strings.get(0), strings.get(1), strings.get(2), strings.get(3)), {
        (Some(&b"\xff\xfe"[..]), Some(&b""[..]), Some(&b"text"[..]), None)
    });
    assert_eq!((strings.get_str(0), strings.get_str(2)), (None, Some("text")));
    strings.push("more");
    assert_eq!(strings.iter().len(), 4);
    assert_eq!(strings.iter().last(), Some(&b"more"[..]));
    assert_eq!(strings, strings.iter().collect());
    assert!(StringArray::default().iter().next().is_none());
}
