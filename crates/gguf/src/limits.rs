//! What a file may ask for at most, beyond what its own length allows.
//!
//! Real files stay far below every one of these; a file that goes over is refused before anything is allocated for it.

/// Metadata keys in one file. Real models have under a hundred.
pub const MAX_KEYS: u64 = 1 << 16;
/// Tensors in one file. The largest mixtures with unmerged experts have tens of thousands.
pub const MAX_TENSORS: u64 = 1 << 20;
/// Bytes of a metadata key (GGUF specification).
pub const MAX_KEY_BYTES: u64 = (1 << 16) - 1;
/// Bytes of a tensor's name. The specification says 64; image models go past it.
pub const MAX_TENSOR_NAME_BYTES: u64 = 255;
/// Bytes of a string in metadata. Whole embedded tokenizers of some ten megabytes exist.
pub const MAX_STRING_BYTES: u64 = 1 << 28;
/// Elements of an array in metadata.
pub const MAX_ARRAY_ELEMENTS: u64 = 1 << 28;
/// Arrays within arrays: 1 is a flat array.
pub const MAX_ARRAY_DEPTH: u32 = 4;
/// Arrays inside the array of one key, on all levels together. A count of them says little about their size.
pub const MAX_NESTED_ARRAYS: u64 = 1 << 20;
/// Dimensions of a tensor (as in the field's other readers).
pub const MAX_DIMENSIONS: u32 = 4;
/// Where tensors start without `general.alignment`: multiples of this (GGUF specification).
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// Smallest `general.alignment` (GGUF specification: a multiple of 8). Every plain element type is then aligned.
pub const MIN_ALIGNMENT: u64 = 8;
/// Largest `general.alignment`: well past the largest page size.
pub const MAX_ALIGNMENT: u64 = 1 << 24;
