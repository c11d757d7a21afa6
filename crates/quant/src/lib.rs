//! TENSORS: one file per block format: layout, decode, encode, scalar dot product.
//!
//! Bytes of a tensor come in from `ascua-gguf`; 32-bit floats, or the scalar products the fast kernels are measured
//! against, go out. Statically typed code uses [`BlockFormat`] and the block structs in [`formats`]; code that learns the
//! type from a file asks the registry with [`format()`]. Nothing here panics on any bytes: every pattern of bits is a
//! value of its format.
//!
//! The layouts are those of the GGUF format as llama.cpp writes it (`ggml-common.h`, `ggml-quants.c`); decoding agrees
//! with it bit for bit, and so does every encoder.

mod block_format;
mod error;
mod extremes;
mod format;
pub mod formats;
mod groups;
mod lanes;
mod levels;
mod little_endian;
mod registry;
mod rounding;
mod search;
pub mod tables;

pub use block_format::{BlockFormat, Encode, Row};
pub use error::QuantError;
pub use format::{Format, blocks, decode_blocks, encode_blocks};
pub use little_endian::{LeBf16, LeF16, LeF32, LeF64, LeI16, LeI32, LeI64, LeU16, LeU32};
pub use registry::format;
