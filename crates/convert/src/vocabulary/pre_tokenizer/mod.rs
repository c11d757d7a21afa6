//! `tokenizer.ggml.pre`: the name of the way that byte-level BPE cuts text into words.
//!
//! The user's word counts most. Else the steps in `tokenizer.json` tell the pattern ([`patterns`]), and the ids that the
//! tokenizer then gives a text tell the name that llama.cpp's converter would write ([`fingerprints`]). Where the steps are
//! unknown, or there are none (`merges.txt`), every known pre-tokenizer is tried until the sum fits.

mod fingerprints;
mod patterns;

use ascua_gguf::Metadata;
use ascua_tokenizer::{AddSpecial, EncodeOptions, ParseSpecial, Tokenizer, TokenizerOptions};
use serde_json::Value;

use super::{VocabularyError, VocabularyWarning};

/// The key.
pub(super) const KEY: &str = "tokenizer.ggml.pre";

/// What is known about the pre-tokenizer before it has a name.
#[derive(Default)]
pub(super) struct Clues<'a> {
    /// What the user says.
    pub(super) chosen: Option<&'a str>,
    /// `pre_tokenizer` of `tokenizer.json`.
    pub(super) steps: Option<Value>,
    /// `ignore_merges` of `tokenizer.json`.
    pub(super) ignore_merges: bool,
    /// The name that goes with another kind of file.
    pub(super) likely: Option<&'static str>,
}

/// Writes the name into the metadata, which is whole but for it.
pub(super) fn name(
    metadata: &mut Metadata,
    clues: &Clues<'_>,
    warnings: &mut Vec<VocabularyWarning>,
) -> Result<(), VocabularyError> {
    if let Some(name) = clues.chosen {
        let mut known: Vec<&str> = ascua_tokenizer::pre_tokenizer_names().collect();
        if !known.contains(&name) {
            known.sort_unstable();
            return Err(VocabularyError::PreTokenizerName { name: name.to_owned(), known: known.join(", ") });
        }
        metadata.insert(KEY, name);
        return Ok(());
    }
    let steps = clues.steps.as_ref().map(patterns::describe).unwrap_or_default();
    let by_pattern = patterns::name(&steps, clues.ignore_merges).filter(|_| clues.steps.is_some()).or(clues.likely);
    if let Some(candidate) = by_pattern {
        let exact = fingerprint(metadata, candidate)?;
        metadata.insert(KEY, exact.unwrap_or(candidate));
        if exact.is_none() {
            warnings.push(VocabularyWarning::ByPattern { name: candidate.to_owned() });
            settle_beginning(metadata);
        }
        return Ok(());
    }
    for candidate in ascua_tokenizer::pre_tokenizer_kinds() {
        if let Some(exact) = fingerprint(metadata, candidate)? {
            metadata.insert(KEY, exact);
            return Ok(());
        }
    }
    let steps = if steps.is_empty() { "tokenizer.json does not describe it".to_owned() } else { steps.join(", then ") };
    Err(VocabularyError::UnknownPreTokenizer { steps })
}

/// The name that belongs to the sum over the ids which the tokenizer gives when its words are cut in this way.
fn fingerprint(metadata: &Metadata, candidate: &str) -> Result<Option<&'static str>, VocabularyError> {
    let options = TokenizerOptions { pre_tokenizer_override: Some(candidate.to_owned()) };
    let tokenizer = Tokenizer::from_metadata(metadata, &options)?;
    let options = EncodeOptions { add_special: AddSpecial::Yes, parse_special: ParseSpecial::No };
    Ok(fingerprints::name(&tokenizer.encode(fingerprints::TEXT, options)))
}

/// Whether the steps are those of a pre-tokenizer on plain characters.
pub(super) fn keeps_merges(steps: &Value) -> bool {
    patterns::describe(steps) == [patterns::GEMMA]
}

/// The name of a WordPiece vocabulary, which has no bearing on the ids.
pub(super) fn word_piece_name(metadata: &Metadata) -> Result<&'static str, VocabularyError> {
    Ok(fingerprint(metadata, "default")?.unwrap_or("default"))
}

/// Some names imply a beginning-of-sequence token; where the files do not ask for one, this must be said.
fn settle_beginning(metadata: &mut Metadata) {
    const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
    if !metadata.contains(ADD_BOS) {
        metadata.insert(ADD_BOS, false);
    }
}
