//! MODEL: architectures as data, the blocks they are made of, and the decoder that records the graph.
//!
//! A [`ModelConfig`] is read from a file's metadata; [`record`] makes the graph from it and the file's tensor list.
//! An [`Adapter`] changes what weights answer without touching them.
//! [`hugging_face`] makes metadata and names of tensors out of checkpoints. Adding an architecture: a file in `architectures/` and a line in its list.

pub mod adapter;
pub mod architectures;
pub mod blocks;
mod builder;
mod catalogue;
mod config;
mod decoder;
mod error;
pub mod hugging_face;

pub use adapter::{Adapter, AdapterError, AdapterProblem, OpenAdapterError};
pub use builder::{GraphBuilder, LowRankPair, Necessity, TensorCatalogue};
pub use catalogue::{FileCatalogue, WantedTensors};
pub use config::{ModelConfig, RopeScaling};
pub use decoder::{LayerSpec, Norms, record};
pub use error::ModelError;
