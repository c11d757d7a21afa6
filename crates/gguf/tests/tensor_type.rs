//! Block sizes, summed again from the fields each block has: scales and sums in halves (2) or singles (4), then bits.

use ascua_gguf::TensorType;

/// Name, elements of a block, and bytes of its fields.
const BLOCKS: &[(&str, usize, usize)] = &[
    ("F32", 1, 4),
    ("F16", 1, 2),
    ("Q4_0", 32, 2 + 32 / 2),
    ("Q4_1", 32, 2 + 2 + 32 / 2),
    ("Q5_0", 32, 2 + 32 / 8 + 32 / 2),
    ("Q5_1", 32, 2 + 2 + 32 / 8 + 32 / 2),
    ("Q8_0", 32, 2 + 32),
    ("Q8_1", 32, 2 + 2 + 32),
    ("Q2_K", 256, 2 + 2 + 256 / 16 + 256 / 4),
    ("Q3_K", 256, 2 + 12 + 256 / 4 + 256 / 8),
    ("Q4_K", 256, 2 + 2 + 12 + 256 / 2),
    ("Q5_K", 256, 2 + 2 + 12 + 256 / 2 + 256 / 8),
    ("Q6_K", 256, 2 + 256 / 16 + 256 / 2 + 256 / 4),
    ("Q8_K", 256, 4 + 256 + 256 / 16 * 2),
    ("IQ2_XXS", 256, 2 + 256 / 8 * 2),
    ("IQ2_XS", 256, 2 + 256 / 8 * 2 + 256 / 32),
    ("IQ3_XXS", 256, 2 + 3 * (256 / 8)),
    ("IQ1_S", 256, 2 + 256 / 8 + 256 / 32 * 2),
    ("IQ4_NL", 32, 2 + 32 / 2),
    ("IQ3_S", 256, 2 + 256 / 4 + 256 / 32 + 256 / 8 + 256 / 64),
    ("IQ2_S", 256, 2 + 256 / 4 + 256 / 32 + 256 / 32),
    ("IQ4_XS", 256, 2 + 2 + 256 / 64 + 256 / 2),
    ("I8", 1, 1),
    ("I16", 1, 2),
    ("I32", 1, 4),
    ("I64", 1, 8),
    ("F64", 1, 8),
    ("IQ1_M", 256, 256 / 8 + 256 / 16 + 256 / 32),
    ("BF16", 1, 2),
    ("TQ1_0", 256, 2 + (256 - 4 * 256 / 64) / 5 + 256 / 64),
    ("TQ2_0", 256, 2 + 256 / 4),
    ("MXFP4", 32, 1 + 32 / 2),
    ("NVFP4", 64, 64 / 16 + 64 / 2),
    ("Q1_0", 128, 2 + 128 / 8),
    ("Q2_0", 64, 2 + 64 / 4),
];

#[test]
fn geometry() {
    assert_eq!(BLOCKS.len(), TensorType::ALL.len());
    for (&(name, len, bytes), &tensor_type) in BLOCKS.iter().zip(TensorType::ALL) {
        assert_eq!((tensor_type.name(), tensor_type.block_len(), tensor_type.block_bytes()), (name, len, bytes));
        assert_eq!(TensorType::from_id(tensor_type.id()), Some(tensor_type));
        assert_eq!(name.to_lowercase().parse(), Ok(tensor_type));
        assert_eq!(tensor_type.row_bytes(3 * len), Some(3 * bytes));
        assert_eq!(tensor_type.row_bytes(3 * len + 1), (len == 1).then_some(4 * bytes));
        assert_eq!(TensorType::withdrawn(tensor_type.id()), None);
    }
    let known = (0..100).filter(|&id| TensorType::from_id(id).is_some() || TensorType::withdrawn(id).is_some());
    assert_eq!(known.collect::<Vec<_>>(), (0..43).collect::<Vec<_>>(), "every id up to the newest has one meaning");
}
