//! What each token is in text: bytes, rendered once when the tokenizer is built.
//!
//! Invariant: a token's bytes may be any part of a character; only a sequence of tokens is text.

use crate::byte_pair::letter_to_byte;
use crate::unicode::{decode, encode};
use crate::vocabulary::{Attributes, TokenizerKind, Vocabulary, byte_of_text};
use crate::{dna, rwkv};

/// The bytes of all tokens, one behind the other.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pieces {
    pub(crate) fn new(vocabulary: &Vocabulary) -> Pieces {
        let mut pieces = Pieces { bytes: Vec::new(), ends: Vec::with_capacity(vocabulary.len()) };
        for id in vocabulary.ids() {
            render(vocabulary, id, &mut pieces.bytes);
            pieces.ends.push(pieces.bytes.len());
        }
        pieces
    }

    /// The bytes of a token; none for ids beyond the vocabulary.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        match self.ends.get(id) {
            Some(end) => &self.bytes[id.checked_sub(1).map_or(0, |before| self.ends[before])..*end],
            None => &[],
        }
    }
}

fn render(vocabulary: &Vocabulary, id: u32, out: &mut Vec<u8>) {
    let mut text = vocabulary.texts.text(id);
    if vocabulary.model == "hybriddna" {
        text = dna::bases(text).unwrap_or(text);
    }
    let attributes = vocabulary.attributes(id);
    match vocabulary.kind {
        TokenizerKind::Rwkv => return out.extend(rwkv::unescape(text)),
        TokenizerKind::Plamo2 => {
            match byte_of_text(text).filter(|_| attributes.is(Attributes::BYTE)) {
                Some(byte) => out.push(byte),
                None => out.extend_from_slice(text),
            }
            return;
        }
        _ => {}
    }
    let as_written = Attributes::UNKNOWN.or(Attributes::CONTROL).or(Attributes::USER_DEFINED);
    if attributes.is(as_written) {
        out.extend_from_slice(text);
    } else if attributes.is(Attributes::NORMAL) {
        let habits = vocabulary.pre_tokenizer.habits;
        let letters = vocabulary.kind == TokenizerKind::BytePair && (!habits.plain_text || habits.keep_spaces);
        if letters { render_letters(text, out) } else { render_spaces(text, out) }
    } else if attributes.is(Attributes::BYTE) {
        out.extend(byte_of_text(text));
    }
}

/// GPT-2's letters as bytes; what is none of them stays as it is.
fn render_letters(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        let (code, length) = decode(text, at).unwrap_or((0xfffd, 1));
        match letter_to_byte(code) {
            Some(byte) => out.push(byte),
            None => encode(code, out),
        }
        at += length;
    }
}

/// U+2581 as a space.
fn render_spaces(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix("\u{2581}".as_bytes()) {
            Some(behind) => {
                out.push(b' ');
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
}

/// Takes out the spaces that WordPiece puts before punctuation and contractions, as llama.cpp does for such models.
pub(crate) fn clean_up_spaces(text: &str) -> String {
    let mut text = text.to_owned();
    for (from, to) in [
        (" ?", "?"),
        (" !", "!"),
        (" .", "."),
        (" ,", ","),
        (" ' ", "'"),
        (" 's", "'s"),
        (" 'm", "'m"),
        (" 're", "'re"),
        (" 've", "'ve"),
    ] {
        text = text.replace(from, to);
    }
    text
}
