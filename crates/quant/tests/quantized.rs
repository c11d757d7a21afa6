//! Encoding with and without importance against what llama.cpp makes of the same rows: every byte, but for IQ3_S blocks
//! that llama.cpp gets wrong.
//!
//! The rows are such as weights are, and such as they should not be; `generate_quantized.py` makes the data.

use ascua_gguf::TensorType;
use ascua_quant::format;
use std::path::Path;

const COLUMNS: usize = 512;

const TYPES: [TensorType; 25] = [
    TensorType::Q4_0,
    TensorType::Q4_1,
    TensorType::Q5_0,
    TensorType::Q5_1,
    TensorType::Q8_0,
    TensorType::Q2_K,
    TensorType::Q3_K,
    TensorType::Q4_K,
    TensorType::Q5_K,
    TensorType::Q6_K,
    TensorType::IQ1_S,
    TensorType::IQ1_M,
    TensorType::IQ2_XXS,
    TensorType::IQ2_XS,
    TensorType::IQ2_S,
    TensorType::IQ3_XXS,
    TensorType::IQ3_S,
    TensorType::IQ4_NL,
    TensorType::IQ4_XS,
    TensorType::TQ1_0,
    TensorType::TQ2_0,
    TensorType::Q1_0,
    TensorType::Q2_0,
    TensorType::MXFP4,
    TensorType::NVFP4,
];

/// A file of the test data without its first line.
fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/quantize_{name}.bin"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes[bytes.iter().position(|&byte| byte == b'\n').expect("a first line") + 1..].to_vec()
}

/// Importances, and rows one after the other.
fn rows() -> (Vec<f32>, Vec<f32>) {
    let floats: Vec<f32> = data("rows").as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let (importance, rows) = floats.split_at(COLUMNS);
    (importance.to_vec(), rows.to_vec())
}

fn encode(tensor_type: TensorType, rows: &[f32], importance: Option<&[f32]>) -> Vec<u8> {
    let row_bytes = tensor_type.row_bytes(COLUMNS).unwrap();
    let mut encoded = vec![0xA5; rows.len() / COLUMNS * row_bytes];
    for (row, out) in rows.chunks(COLUMNS).zip(encoded.chunks_mut(row_bytes)) {
        format(tensor_type).encode_row_with(row, importance, out).unwrap();
    }
    encoded
}

fn check(tensor_type: TensorType) {
    let (importance, rows) = rows();
    let expected = data(tensor_type.name());
    let (without, with) = expected.split_at(expected.len() / 2);
    for (name, importance, expected) in [("no", None, without), ("with", Some(importance.as_slice()), with)] {
        let encoded = encode(tensor_type, &rows, importance);
        assert_eq!(encoded.len(), expected.len());
        for (block, (found, expected)) in
            encoded.chunks(tensor_type.block_bytes()).zip(expected.chunks(tensor_type.block_bytes())).enumerate()
        {
            let row = block * tensor_type.block_len() / COLUMNS;
            let values = &rows[block * tensor_type.block_len()..][..tensor_type.block_len()];
            if found != expected && is_misplaced_by_llama_cpp(tensor_type, values) {
                let (ours, theirs) = (error(tensor_type, values, found), error(tensor_type, values, expected));
                assert!(ours < theirs, "{tensor_type} block {block}: error {ours}, llama.cpp's {theirs}");
                continue;
            }
            assert_eq!(found, expected, "{tensor_type} row {row} block {block}, {name} importance");
        }
    }
}

/// Whether a block holds a group of zeros before others: llama.cpp's IQ3_S then stores those others a group too early, and
/// its block decodes to something else than was encoded.
fn is_misplaced_by_llama_cpp(tensor_type: TensorType, values: &[f32]) -> bool {
    tensor_type == TensorType::IQ3_S && values.chunks(32).any(|group| group.iter().all(|&value| value == 0.0))
}

/// The squared error of a block.
fn error(tensor_type: TensorType, values: &[f32], block: &[u8]) -> f64 {
    let mut decoded = vec![0.0; values.len()];
    format(tensor_type).decode_row(block, &mut decoded).unwrap();
    values.iter().zip(&decoded).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[test]
fn quantised_rows_are_those_of_llama_cpp() {
    TYPES.into_iter().for_each(check);
}

#[test]
fn importance_makes_important_errors_smaller() {
    let (importance, rows) = rows();
    // The first rows: normal ones.
    let rows = &rows[..3 * COLUMNS];
    for tensor_type in TYPES {
        let error = |importance_used: Option<&[f32]>| -> f64 {
            let encoded = encode(tensor_type, rows, importance_used);
            let row_bytes = tensor_type.row_bytes(COLUMNS).unwrap();
            let mut sum = 0.0;
            for (row, encoded) in rows.chunks(COLUMNS).zip(encoded.chunks(row_bytes)) {
                let mut decoded = vec![0.0; COLUMNS];
                format(tensor_type).decode_row(encoded, &mut decoded).unwrap();
                // Each row counts as if it were of size one.
                let size: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
                let errors = row.iter().zip(&decoded).zip(&importance);
                sum += errors.map(|((a, b), w)| f64::from(a - b).powi(2) * f64::from(*w)).sum::<f64>() / size;
            }
            sum
        };
        let (without, with) = (error(None), error(Some(&importance)));
        let chooses = !matches!(
            tensor_type,
            TensorType::Q8_0
                | TensorType::TQ1_0
                | TensorType::TQ2_0
                | TensorType::Q1_0
                | TensorType::Q2_0
                | TensorType::MXFP4
                | TensorType::NVFP4
        );
        if chooses {
            assert!(with < without, "{tensor_type}: {with} with importance, {without} without");
        } else {
            assert_eq!(with, without, "{tensor_type} has no choice to make");
        }
    }
}
