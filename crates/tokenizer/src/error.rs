//! What can be wrong with a file's tokenizer, and what is merely doubtful.

use ascua_gguf::MetadataError;

use crate::TokenizerKind;

/// A tokenizer that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file says that it has none: a caller may go on with token ids alone.
    #[error("the model has no tokenizer (`tokenizer.ggml.model` is {})", found.as_deref().unwrap_or("missing"))]
    NoTokenizer {
        /// The kind the file names, if it names one.
        found: Option<String>,
    },
    /// A kind of tokenizer that is not known.
    #[error("`tokenizer.ggml.model` is `{found}`; known are llama, gpt2, bert, t5, rwkv, plamo2, gemma4")]
    UnknownModel {
        /// The kind the file names.
        found: String,
    },
    /// A key is missing or holds another type.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// An array that goes with the tokens has too few elements.
    #[error("metadata key `{key}` has {found} elements for {wanted} tokens")]
    TooShort {
        /// The key.
        key: &'static str,
        /// Its elements.
        found: usize,
        /// The tokens.
        wanted: usize,
    },
    /// There are no tokens at all, or more than ids can number.
    #[error("the vocabulary has {found} tokens; between 1 and {limit} can be numbered")]
    TokenCount {
        /// Tokens found.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The table that normalises characters is damaged.
    #[error("`tokenizer.ggml.precompiled_charsmap` is damaged: {problem}")]
    CharacterMap {
        /// What is wrong with it.
        problem: String,
    },
    /// A pre-tokenizer asked for by the user that does not exist.
    #[error("no pre-tokenizer is called `{name}`; the nearest is `{nearest}`")]
    UnknownOverride {
        /// The name asked for.
        name: String,
        /// The most similar name that exists.
        nearest: &'static str,
    },
}

/// Something doubtful that does not keep the tokenizer from working.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The pre-tokenizer's name is not known; another one stands in.
    #[error("pre-tokenizer `{name}` is not known; using `{chosen}`, tokens may differ from the model's")]
    UnknownPreTokenizer {
        /// The name in the file.
        name: String,
        /// The one used.
        chosen: &'static str,
    },
    /// The file names no pre-tokenizer.
    #[error("the file names no pre-tokenizer; using `default`, tokens may differ from the model's")]
    MissingPreTokenizer,
    /// The user names a pre-tokenizer for a tokenizer of a kind that has none.
    #[error("pre-tokenizer `{name}` has nothing to do: this tokenizer is {kind}, and only byte-level BPE has one")]
    UnusedOverride {
        /// The name.
        name: String,
        /// What the tokenizer is.
        kind: TokenizerKind,
    },
    /// A special token's id is not in the vocabulary.
    #[error("metadata key `{key}` is {found}, but the vocabulary has {tokens} tokens; ignored")]
    SpecialTokenRange {
        /// The key.
        key: &'static str,
        /// The id found.
        found: u64,
        /// Size of the vocabulary.
        tokens: usize,
    },
    /// The file wants a token added that it does not have.
    #[error("metadata key `{key}` is true, but the vocabulary has no such token; none is added")]
    NothingToAdd {
        /// The key.
        key: &'static str,
    },
}
