//! Decoding and encoding against golden data, bit for bit.
//!
//! The data holds random blocks and extreme ones (all bits set; zero, infinite, NaN and subnormal scales; ties; values
//! whose scale overflows). `generate.py` makes it; the first line of each file says from what.

use ascua_gguf::TensorType;
use ascua_quant::format;
use std::path::Path;

const ENCODERS: [TensorType; 15] = [
    TensorType::F16,
    TensorType::BF16,
    TensorType::Q4_0,
    TensorType::Q4_1,
    TensorType::Q5_0,
    TensorType::Q5_1,
    TensorType::Q8_0,
    TensorType::Q8_1,
    TensorType::Q8_K,
    TensorType::Q1_0,
    TensorType::Q2_0,
    TensorType::TQ1_0,
    TensorType::TQ2_0,
    TensorType::MXFP4,
    TensorType::NVFP4,
];

struct Golden {
    first: Vec<u8>,
    second: Vec<u8>,
    blocks: usize,
}

/// Splits a file after `first_size` bytes per block.
fn golden(kind: &str, tensor_type: TensorType, first_size: usize) -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{kind}_{tensor_type}.bin"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let data = &bytes[bytes.iter().position(|&byte| byte == b'\n').expect("a first line") + 1..];
    let per_block = tensor_type.block_bytes() + 4 * tensor_type.block_len();
    assert_eq!(data.len() % per_block, 0, "{}", path.display());
    let blocks = data.len() / per_block;
    assert!(blocks >= 26, "{}: only {blocks} blocks", path.display());
    let (first, second) = data.split_at(blocks * first_size);
    Golden { first: first.to_vec(), second: second.to_vec(), blocks }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn check_decode(tensor_type: TensorType) {
    let golden = golden("decode", tensor_type, tensor_type.block_bytes());
    let expected = floats(&golden.second);
    // One byte in front: the row must decode at any address.
    let mut shifted = vec![0; 1];
    shifted.extend_from_slice(&golden.first);
    let mut decoded = vec![f32::NAN; expected.len()];
    format(tensor_type).decode_row(&shifted[1..], &mut decoded).unwrap();
    for (element, (&found, &expected)) in decoded.iter().zip(&expected).enumerate() {
        assert!(
            found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
            "{tensor_type} block {} element {}: {found:e} instead of {expected:e}",
            element / tensor_type.block_len(),
            element % tensor_type.block_len(),
        );
    }
}

fn check_encode(tensor_type: TensorType) {
    let golden = golden("encode", tensor_type, 4 * tensor_type.block_len());
    let values = floats(&golden.first);
    let mut encoded = vec![0xA5; golden.second.len()];
    format(tensor_type).encode_row(&values, &mut encoded).unwrap();
    let mut wrong = Vec::new();
    for block in 0..golden.blocks {
        let bytes = block * tensor_type.block_bytes()..(block + 1) * tensor_type.block_bytes();
        if encoded[bytes.clone()] != golden.second[bytes.clone()] {
            let elements = block * tensor_type.block_len()..(block + 1) * tensor_type.block_len();
            wrong.push(format!(
                "block {block}\n  values {:?}\n  found    {:02x?}\n  expected {:02x?}",
                &values[elements],
                &encoded[bytes.clone()],
                &golden.second[bytes],
            ));
        }
    }
    assert!(wrong.is_empty(), "{tensor_type}: {} blocks differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_type_decodes_to_the_reference() {
    TensorType::ALL.iter().copied().for_each(check_decode);
}

#[test]
fn every_encoder_writes_the_bytes_of_the_reference() {
    ENCODERS.into_iter().for_each(check_encode);
}
