//! SEQUENCES: batches, the paged cache, and the engine that owns a loaded model.
//!
//! Text has become tokens before it gets here, and logits become tokens after it leaves.

mod activations;
mod cache;
mod engine;
mod error;

pub use activations::{ActivationSums, Observe};
pub use cache::{BlockCopy, Cache, SequenceId};
pub use engine::{BLOCK_TOKENS, Engine, EngineOptions, Entry, Logits, ModelFile, Wanted, plan};
pub use error::EngineError;
