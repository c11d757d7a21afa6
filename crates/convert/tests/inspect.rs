//! Hashes as llama-gguf-hash has them; damaged scales of every type found; errors of values told.

use std::ops::ControlFlow;

use ascua_convert::inspect::{HashKind, TensorDifferenceKind, check, diff, hash};
use ascua_gguf::{Gguf, GgufWriter, Metadata, TensorType, Value};

fn go_on(_: &str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn file(tensors: &[(&str, &[u64], TensorType, Vec<u8>)]) -> Vec<u8> {
    let mut writer = GgufWriter::new(Metadata::from_iter([("general.architecture", Value::from("none"))]));
    for (name, shape, tensor_type, data) in tensors {
        writer.add(*name, *shape, *tensor_type, data.clone()).unwrap();
    }
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn hashes_are_those_of_llama_gguf_hash() {
    // Two tensors of the bytes 0 to 63 and 64 to 80: what is hashed is the bytes 0 to 80, without padding.
    let (a, b): (Vec<u8>, Vec<u8>) = ((0..64).collect(), (64..=80).collect());
    let gguf = Gguf::from_bytes(file(&[("a", &[64], TensorType::I8, a), ("b", &[17], TensorType::I8, b)])).unwrap();
    let hashes = hash(&gguf, &HashKind::ALL, &mut go_on).unwrap();
    let text = |digests: &[ascua_convert::inspect::Digest]| -> Vec<String> {
        digests.iter().map(|digest| digest.text.clone()).collect()
    };
    assert_eq!(text(&hashes.whole), WHOLE);
    assert_eq!(text(&hashes.tensors[1].digests), SECOND);
}

const WHOLE: [&str; 4] = [
    "783f5e51838d51c5",
    "996a2817c8acbc667e1c4c27b8f4e9952736dd7a",
    "c2226285d08a245a17058ed2d24ad095b714f608ae364fddf119e0a7df890540",
    "51f7762b-dacd-5083-8152-5dfe6b3d567b",
];
const SECOND: [&str; 3] = [
    "426aee27fee5febe",
    "3cf0128f55ebb67d69caa3a9d340302dd8a9a18d",
    "39576d9a7ef3a12bce1924ae4f350596c89a617c9690c6e6a13d43c2f6f19f2a",
];

/// Types whose blocks have a scale in half precision, and where it stands in the block.
const HALF_SCALES: [(TensorType, usize); 24] = [
    (TensorType::Q4_0, 0),
    (TensorType::Q4_1, 0),
    (TensorType::Q4_1, 2),
    (TensorType::Q5_0, 0),
    (TensorType::Q5_1, 2),
    (TensorType::Q8_0, 0),
    (TensorType::Q2_K, 80),
    (TensorType::Q2_K, 82),
    (TensorType::Q3_K, 108),
    (TensorType::Q4_K, 0),
    (TensorType::Q4_K, 2),
    (TensorType::Q5_K, 0),
    (TensorType::Q6_K, 208),
    (TensorType::IQ1_S, 0),
    (TensorType::IQ2_XXS, 0),
    (TensorType::IQ2_XS, 0),
    (TensorType::IQ2_S, 0),
    (TensorType::IQ3_XXS, 0),
    (TensorType::IQ3_S, 0),
    (TensorType::IQ4_NL, 0),
    (TensorType::IQ4_XS, 0),
    (TensorType::TQ1_0, 52),
    (TensorType::TQ2_0, 64),
    (TensorType::Q1_0, 0),
];

/// A tensor of two blocks, the second with `scale` at `place`.
fn damaged(tensor_type: TensorType, place: usize, scale: &[u8]) -> Vec<String> {
    let (size, elements) = (tensor_type.block_bytes(), 2 * tensor_type.block_len() as u64);
    // 0x11 is a small number as a half, and in every table of codes.
    let mut data = vec![0x11; 2 * size];
    data[size + place..][..scale.len()].copy_from_slice(scale);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.gguf");
    std::fs::write(&path, file(&[("t", &[elements], tensor_type, data)])).unwrap();
    let findings = check(&path, &mut go_on).unwrap();
    findings.into_iter().filter(|finding| finding.kind == "not_finite").map(|finding| finding.message).collect()
}

#[test]
fn damaged_scales_of_every_type_are_found() {
    for (tensor_type, place) in HALF_SCALES {
        for (scale, damage) in [(0x7C00u16, true), (0xFE01, true), (0x3C00, false)] {
            let found = damaged(tensor_type, place, &scale.to_le_bytes());
            assert_eq!(!found.is_empty(), damage, "{tensor_type} at {place}, {scale:#x}: {found:?}");
            let first = format!("first {}", tensor_type.block_len());
            assert!(found.iter().all(|message| message.contains(&first)), "{tensor_type}: {found:?}");
        }
    }
    // IQ1_M keeps its scale in the upper nibbles of four numbers.
    assert!(!damaged(TensorType::IQ1_M, 48, &[0, 0, 0, 0xC0, 0, 0xC0, 0, 0x70]).is_empty());
    assert!(damaged(TensorType::IQ1_M, 48, &[0, 0, 0, 0, 0, 0xC0, 0, 0x30]).is_empty());
    for (tensor_type, place, scale) in [(TensorType::MXFP4, 0, 0xFF), (TensorType::NVFP4, 2, 0x7F)] {
        let found = damaged(tensor_type, place, &[scale]);
        assert!(
            found.iter().any(|message| message.contains("1 ") && message.contains("scale that is NaN")),
            "{found:?}"
        );
        assert!(damaged(tensor_type, place, &[0x40]).is_empty());
    }
    for (tensor_type, nan) in [(TensorType::F32, vec![0, 0, 0xC0, 0x7F]), (TensorType::BF16, vec![0x80, 0xFF])] {
        assert_eq!(damaged(tensor_type, 0, &nan).len(), 1, "{tensor_type}");
    }
}

#[test]
fn a_difference_is_told_as_an_error_relative_to_the_first_file() {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |values: &[f32]| values.iter().flat_map(|value| half(*value)).collect::<Vec<u8>>();
    let first = file(&[
        ("same", &[2], TensorType::F32, floats(&[1.0, 2.0])),
        ("off", &[2, 2], TensorType::F32, floats(&[3.0, 4.0, 0.0, 0.0])),
        ("typed", &[2], TensorType::F32, floats(&[1.0, 0.5])),
        ("shape", &[4], TensorType::F32, floats(&[0.0; 4])),
        ("gone", &[1], TensorType::F32, floats(&[0.0])),
    ]);
    let second = file(&[
        ("typed", &[2], TensorType::F16, halves(&[1.0, 0.5])),
        ("shape", &[2, 2], TensorType::F32, floats(&[0.0; 4])),
        ("same", &[2, 1], TensorType::F32, floats(&[1.0, 2.0])),
        ("off", &[2, 2], TensorType::F32, floats(&[3.0, 4.5, f32::NAN, 0.0])),
        ("new", &[1], TensorType::F32, floats(&[0.0])),
    ]);
    let found = diff(&Gguf::from_bytes(first).unwrap(), &Gguf::from_bytes(second).unwrap(), &mut go_on).unwrap();
    assert_eq!((found.equal_tensors, found.keys.len()), (1, 0));
    let names: Vec<&str> = found.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["off", "typed", "shape", "gone", "new"]);
    let TensorDifferenceKind::Data { error, .. } = &found.tensors[0].kind else { panic!("{:?}", found.tensors[0]) };
    assert_eq!((error.differing, error.not_finite, error.largest, error.relative()), (2, 1, 0.5, 0.1));
    let TensorDifferenceKind::Data { types, error } = &found.tensors[1].kind else { panic!("{:?}", found.tensors[1]) };
    assert_eq!((types.1, error.differing, error.relative()), (TensorType::F16, 0, 0.0));
}

/// A half of one of the numbers used here.
fn half(value: f32) -> [u8; 2] {
    if value == 1.0 { 0x3C00u16.to_le_bytes() } else { 0x3800u16.to_le_bytes() }
}
