//! What can be wrong with the tokenizer files of a checkpoint.

use std::io;
use std::path::PathBuf;

use ascua_tokenizer::TokenizerError;

/// A directory whose tokenizer cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// None of the known files is there.
    #[error(
        "{}: no tokenizer: none of tokenizer.model, tokenizer.json, *.tiktoken, vocab.json with merges.txt, vocab.txt is there",
        directory.display()
    )]
    NoTokenizer {
        /// The checkpoint.
        directory: PathBuf,
    },
    /// A file cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The way the text is cut into words is none of the known ones.
    #[error(
        "the pre-tokenizer of this checkpoint is none of the known ones ({steps}), so that its token ids cannot be reproduced; \
         if it cuts words as a known one does, name that"
    )]
    UnknownPreTokenizer {
        /// Its steps, as `tokenizer.json` has them.
        steps: String,
    },
    /// The name the user gave is unknown.
    #[error("there is no pre-tokenizer `{name}`; the known ones are {known}")]
    PreTokenizerName {
        /// The name.
        name: String,
        /// All there are.
        known: String,
    },
    /// The user names a pre-tokenizer for a tokenizer of a kind that has none.
    #[error(
        "pre-tokenizer `{name}` has nothing to do: this tokenizer is {kind}, and only byte-level BPE has a pre-tokenizer with a name"
    )]
    NoPreTokenizer {
        /// The name.
        name: String,
        /// What the tokenizer is.
        kind: &'static str,
    },
    /// The tokenizer that comes out cannot be used.
    #[error("the converted tokenizer does not load: {0}")]
    Tokenizer(#[from] TokenizerError),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is longer than any real one.
    #[error("{found} bytes; at most {limit} are read")]
    Size {
        /// Its bytes.
        found: u64,
        /// The most.
        limit: u64,
    },
    /// It is no JSON of the expected form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is not UTF-8.
    #[error("byte {at} is not UTF-8")]
    NotText {
        /// The first wrong byte.
        at: usize,
    },
    /// The protocol buffer ends too early, or is none.
    #[error("not a SentencePiece model: byte {at}: {what}")]
    Protobuf {
        /// Where.
        at: usize,
        /// What is there.
        what: &'static str,
    },
    /// Tokens are missing, or there are too many.
    #[error("{found} tokens; between 1 and {limit} are possible")]
    TokenCount {
        /// Tokens, or the highest id and one.
        found: u64,
        /// The most.
        limit: u64,
    },
    /// A token beyond the rows of the model's embedding.
    #[error("token {token:?} has the id {id}, but config.json says that there are {limit} tokens (`vocab_size`)")]
    IdRange {
        /// The token.
        token: String,
        /// Its id.
        id: u64,
        /// One more than the highest possible.
        limit: u64,
    },
    /// Two tokens share an id.
    #[error("the tokens {first:?} and {second:?} have the same id {id}")]
    SharedId {
        /// The id.
        id: u64,
        /// The token that had it.
        first: String,
        /// The token that wants it too.
        second: String,
    },
    /// A token stands twice.
    #[error("the token {token:?} stands twice, with the ids {first} and {second}")]
    TokenTwice {
        /// The token.
        token: String,
        /// Its id.
        first: u64,
        /// Its other id.
        second: u64,
    },
    /// A merge is not made of two parts.
    #[error("merge {number}: {found:?} is not two parts with a space between")]
    MergeForm {
        /// Its number, counted from 1.
        number: usize,
        /// What stands there.
        found: String,
    },
    /// A merge names what is no token.
    #[error("merge {number} joins {left:?} and {right:?}, but {missing:?} is no token")]
    MergeToken {
        /// Its number, counted from 1.
        number: usize,
        /// Its left part.
        left: String,
        /// Its right part.
        right: String,
        /// The part, or the product, that is missing.
        missing: String,
    },
    /// A line of a list of ranks is wrong.
    #[error("line {line}: {what}")]
    Rank {
        /// Its number, counted from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A token cannot be made out of two others.
    #[error("the token of rank {rank} is not two tokens of lower rank joined")]
    RankParts {
        /// Its rank.
        rank: u32,
    },
    /// Base64 that is none.
    #[error("`{field}` is not base64")]
    Base64 {
        /// Where it stands.
        field: &'static str,
    },
    /// A field that must be there is not.
    #[error("`{field}` is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A kind of tokenizer that no model file can hold.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// A special token's id is no id.
    #[error("`{field}` is {found}, which is no token id")]
    SpecialToken {
        /// The field.
        field: String,
        /// What stands there.
        found: String,
    },
}

/// What a user should know about a tokenizer that was converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyWarning {
    /// A token beyond the rows of the embedding was left out.
    #[error("token {token:?} is left out: its id {id} is beyond the {limit} tokens of the model")]
    BeyondModel {
        /// The token.
        token: String,
        /// Its id.
        id: u64,
        /// Tokens of the model.
        limit: u64,
    },
    /// An added token takes the place of another.
    #[error("token {id}: {new:?} takes the place of {old:?}")]
    Replaced {
        /// The id.
        id: u64,
        /// The text it had.
        old: String,
        /// The text it has now.
        new: String,
    },
    /// The id of a special token is beyond the vocabulary.
    #[error("the {role} token {id} is left out: it is beyond the {limit} tokens of the model")]
    SpecialBeyondModel {
        /// Its role.
        role: &'static str,
        /// Its id.
        id: u64,
        /// Tokens of the model.
        limit: u64,
    },
    /// The pre-tokenizer is known by its pattern only.
    #[error(
        "the pre-tokenizer is taken to be `{name}`, by its pattern; llama.cpp's list does not know this vocabulary"
    )]
    ByPattern {
        /// The name written.
        name: String,
    },
    /// The merges say more than scores can.
    #[error(
        "the merges of this tokenizer do not follow from scores, so that a few words may get other token ids than in training"
    )]
    MergesNotScores,
    /// A field was not used.
    #[error("{file}: `{field}` is not used: {reason}")]
    Ignored {
        /// The file.
        file: &'static str,
        /// The field.
        field: String,
        /// Why.
        reason: &'static str,
    },
}
