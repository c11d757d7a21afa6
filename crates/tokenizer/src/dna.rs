//! Sequences of bases between `<dna>` and `</dna>`, cut into six letters each (`hybriddna`).
//!
//! Text outside goes to byte-level BPE. A token of six bases is written in the file with U+E000 behind it, so that it
//! differs from the same letters as text. Source: llama.cpp (`src/llama-vocab.cpp`).

use crate::vocabulary::Vocabulary;

const OPEN: &[u8] = b"<dna>";
const CLOSE: &[u8] = b"</dna>";
/// Behind the bases of a token in the file.
const MARKER: &[u8] = "\u{e000}".as_bytes();
const BASES: usize = 6;

/// The tokens without which all text is plain.
struct Tags {
    open: u32,
    close: u32,
    /// For six letters that are not all bases.
    unknown: u32,
}

/// Appends the tokens of a text; `plain` does the stretches outside the tags.
pub(crate) fn encode(
    vocabulary: &Vocabulary,
    mut text: &[u8],
    out: &mut Vec<u32>,
    plain: impl Fn(&[u8], &mut Vec<u32>),
) {
    let token = |text: &[u8]| vocabulary.texts.get(text);
    let (Some(open), Some(close), Some(unknown)) = (token(OPEN), token(CLOSE), token(b"<oov>")) else {
        return plain(text, out);
    };
    let tags = Tags { open, close, unknown };
    while let Some(start) = find(text, OPEN) {
        plain(&text[..start], out);
        out.push(tags.open);
        let behind = &text[start + OPEN.len()..];
        let end = find(behind, CLOSE);
        encode_bases(vocabulary, &tags, &behind[..end.unwrap_or(behind.len())], out);
        let Some(end) = end else { return };
        out.push(tags.close);
        text = &behind[end + CLOSE.len()..];
    }
    plain(text, out);
}

/// Six letters a token, the last ones filled up with A.
fn encode_bases(vocabulary: &Vocabulary, tags: &Tags, bases: &[u8], out: &mut Vec<u32>) {
    for chunk in bases.chunks(BASES) {
        let mut text = chunk.to_ascii_uppercase();
        text.resize(BASES, b'A');
        text.extend_from_slice(MARKER);
        out.push(vocabulary.texts.get(&text).unwrap_or(tags.unknown));
    }
}

/// The bases of a token, if it is one.
pub(crate) fn bases(text: &[u8]) -> Option<&[u8]> {
    text.strip_suffix(MARKER).filter(|bases| !bases.is_empty())
}

fn find(text: &[u8], tag: &[u8]) -> Option<usize> {
    text.windows(tag.len()).position(|window| window == tag)
}
