//! FILE: reads, writes, splits and maps GGUF; typed metadata; trusts no byte.
//!
//! A file goes `storage` (mapping) → `parse` (header) → `place` (where the tensors lie) → [`Gguf`]. Everything that
//! can be wrong with it is an error of its own ([`Malformed`]) that names the key or tensor, what was found and the
//! limit; no input makes the reader panic or allocate more than a small multiple of the file's own size.
//! The way back is [`GgufWriter`] → `encode` → any `Write`, one file or several.

mod atomic_file;
mod cursor;
mod encode;
mod error;
mod file;
pub mod limits;
mod metadata;
mod parse;
mod parse_value;
mod place;
pub mod split;
mod storage;
mod string_array;
mod target;
mod tensor;
mod tensor_type;
mod value;
mod writer;

pub use atomic_file::AtomicFile;
pub use error::{GgufError, Malformed};
pub use file::Gguf;
pub use metadata::{ARCHITECTURE_KEY, Metadata, MetadataError};
pub use string_array::StringArray;
pub use target::{Overwrite, TargetError, check_target};
pub use tensor::{TensorData, TensorInfo};
pub use tensor_type::TensorType;
pub use value::{Array, Value, ValueType};
pub use writer::{CopyReport, FirstPart, GgufWriter, Produce, SplitKeyOrder, SplitLimit, TensorSource, WriteError};
