//! TOKENS: text to token ids and back.
//!
//! [`Tokenizer::from_metadata`] reads `tokenizer.ggml.*` of a model file. A text goes: special tokens written out in it
//! (`partition`) → the algorithm of the vocabulary's kind (`sentence_piece`, `byte_pair` with its `pre_tokenizers`,
//! `word_piece`, `unigram`, `rwkv`, `plamo2`) → ids. Back: `pieces`, and [`StreamDecoder`] for answers in the making.
//! Ids agree with llama.cpp's exactly; time is linear in the text, whatever the text.

mod byte_pair;
mod character_map;
mod dna;
mod error;
mod merge;
mod partition;
mod pieces;
mod plamo2;
mod pre_tokenizers;
mod rank_queue;
mod roles;
mod rwkv;
mod sentence_piece;
mod stream;
mod text_index;
mod tokenizer;
mod trie;
mod unicode;
mod unigram;
mod vocabulary;
mod word_piece;
mod words;

pub use error::{TokenizerError, Warning};
pub use stream::StreamDecoder;
pub use tokenizer::{AddSpecial, EncodeOptions, ParseSpecial, SpecialRendering, Tokenizer};
pub use vocabulary::{SpecialTokens, TokenType, TokenizerKind, TokenizerOptions};

/// Bytes as byte-level vocabularies write them: each as one of GPT-2's 256 letters.
pub fn byte_level_text(bytes: &[u8]) -> String {
    bytes.iter().filter_map(|byte| char::from_u32(byte_pair::byte_to_letter(*byte))).collect()
}

/// One name for each way of cutting words that is known.
pub fn pre_tokenizer_kinds() -> impl Iterator<Item = &'static str> {
    pre_tokenizers::kinds()
}

/// The names of all pre-tokenizers that are known, for help texts.
pub fn pre_tokenizer_names() -> impl Iterator<Item = &'static str> {
    pre_tokenizers::names()
}
