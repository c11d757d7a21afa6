//! What can go wrong between a model and its sequences.

use ascua_graph::DeviceError;
use ascua_models::ModelError;

/// The engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The model file does not describe a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The sequence would outgrow its context.
    #[error("context is full: {used} tokens used, {adding} more do not fit into {limit}")]
    ContextFull {
        /// Tokens there.
        used: usize,
        /// Tokens to add.
        adding: usize,
        /// Context length.
        limit: usize,
    },
    /// All blocks of the cache are taken by other sequences.
    #[error("the key-value cache is full: {wanted} blocks wanted, {free} of {limit} free")]
    CacheFull {
        /// Blocks wanted.
        wanted: usize,
        /// Blocks free.
        free: usize,
        /// Blocks in all.
        limit: usize,
    },
    /// Every sequence slot is taken.
    #[error("all {limit} sequences are in use")]
    TooManySequences {
        /// Slots.
        limit: usize,
    },
    /// The sequence was released or never made.
    #[error("sequence {id} does not exist")]
    UnknownSequence {
        /// Its number.
        id: u32,
    },
    /// A token the vocabulary does not have.
    #[error("token {token} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The token.
        token: u32,
        /// Vocabulary size.
        vocabulary: usize,
    },
    /// The plan needs more memory than there is.
    #[error(
        "{needed} bytes are needed ({weights} weights, {cache} cache for a context of {context}, {scratch} scratch), {available} are free"
    )]
    DoesNotFit {
        /// All bytes.
        needed: u64,
        /// Of the weights.
        weights: u64,
        /// Of the cache.
        cache: u64,
        /// Of activations.
        scratch: u64,
        /// Context length planned for.
        context: usize,
        /// Bytes free on the machine.
        available: u64,
        /// The largest context that would fit; 0 when not even the weights do.
        largest_context: usize,
    },
    /// A row of the cache is not whole blocks of its type.
    #[error(
        "the key-value cache cannot be {tensor_type}: its heads of {head_size} elements are not whole blocks of {block}"
    )]
    CacheType {
        /// The type asked for.
        tensor_type: ascua_gguf::TensorType,
        /// Head size.
        head_size: usize,
        /// Block length.
        block: usize,
    },
    /// A setting outside its range.
    #[error("{name} is {found}, allowed are {least} to {most}")]
    Setting {
        /// Setting name.
        name: &'static str,
        /// Value given.
        found: usize,
        /// Smallest.
        least: usize,
        /// Largest.
        most: usize,
    },
}
