//! Writes a model in other tensor types.
//!
//! [`Plan::new`] chooses the type of every tensor, as llama.cpp would ([`mix`], by the file type asked for), and knows all
//! sizes; [`Plan::write`] then goes through the tensors one at a time, with all threads on each, and the file appears
//! when it is whole. Invariant: at most one tensor's rows are in memory, and nothing that exists is overwritten unless
//! asked for.

mod error;
mod file_type;
mod mix;
mod plan;
mod prune;
mod tensor_names;
mod write;

pub use ascua_gguf::Overwrite;
pub use error::QuantizeError;
pub use file_type::FileType;
pub use plan::{Importance, Options, Parts, Plan, PlannedTensor, TypePattern, tensor_types};
pub use write::Progress;

pub(crate) use tensor_names::layer;
