//! FILE: reads, writes, splits and maps GGUF; typed metadata; trusts no byte.

mod tensor_type;

pub use tensor_type::TensorType;
