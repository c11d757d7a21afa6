//! Everything that can go wrong between a path and a token.

use crate::{AdapterError, OpenAdapterError, chat, engine, gguf, sampler, tokenizer};

/// An operation of the facade failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model file cannot be read.
    #[error(transparent)]
    File(#[from] gguf::GgufError),
    /// A file is no adapter that can be used.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The model cannot be built, or a step failed.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] ascua_graph::DeviceError),
    /// The instruction set does not exist here.
    #[error(transparent)]
    Isa(#[from] crate::IsaError),
    /// The tokenizer cannot be built, or there is none and text was to be read.
    #[error(transparent)]
    Tokenizer(#[from] tokenizer::TokenizerError),
    /// The chat template is broken.
    #[error(transparent)]
    Chat(#[from] chat::ChatError),
    /// No token could be chosen.
    #[error(transparent)]
    Sample(#[from] sampler::SampleError),
    /// A sampling parameter is out of its range.
    #[error(transparent)]
    Setting(#[from] sampler::SettingError),
    /// There is nothing to continue.
    #[error("the prompt is empty: there is nothing to continue")]
    EmptyPrompt,
    /// The prompt alone does not fit.
    #[error("the prompt has {tokens} tokens, the context holds {context}")]
    PromptTooLong {
        /// Its length.
        tokens: usize,
        /// The context.
        context: usize,
    },
}

impl From<OpenAdapterError> for Error {
    fn from(error: OpenAdapterError) -> Error {
        match error {
            OpenAdapterError::File(error) => Error::File(error),
            OpenAdapterError::Adapter(error) => Error::Adapter(error),
        }
    }
}
