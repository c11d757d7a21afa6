//! BPE by a list of merges: the pair that stands first in the list is joined first.
//!
//! Byte-level vocabularies write every byte as one of 256 printable letters (GPT-2's table); here texts are turned back
//! into bytes once, when the vocabulary is read, and words are merged as bytes. Gemma 4 and a few others merge plain
//! characters instead. Source: GPT-2's encoder, in the form of llama.cpp.

use crate::merge::{Joined, MergeRules, NO_PIECE, Pair};
use crate::pre_tokenizers::PreTokenizer;
use crate::rank_queue::NumberMap;
use crate::text_index::TextIndex;
use crate::unicode::{announced_length, decode, encode};
use crate::vocabulary::Vocabulary;
use crate::words::{Junctions, WordMerger};
use ascua_gguf::StringArray;

/// The merges, by number.
#[derive(Debug)]
pub(crate) struct BytePair {
    /// All texts that tokens and merges name: first the tokens by id, then the rest.
    pieces: TextIndex,
    tokens: u32,
    /// Left and right piece to the line of the merge and the joined piece.
    merges: NumberMap<u64, Joined>,
    /// The pieces of single bytes.
    bytes: Vec<u32>,
    /// Where plain text may be cut; `None` for byte-level vocabularies.
    junctions: Option<Junctions>,
}

impl BytePair {
    pub(crate) fn new(vocabulary: &Vocabulary, merge_list: Option<&StringArray>) -> BytePair {
        let plain = vocabulary.pre_tokenizer.habits.plain_text;
        let to_piece_text = |text: &[u8]| if plain { Some(text.to_vec()) } else { letters_to_bytes(text) };
        let mut pieces = TextIndex::default();
        for id in vocabulary.ids() {
            let text = vocabulary.texts.text(id);
            match to_piece_text(text) {
                Some(text) => pieces.push(&text),
                None => pieces.push_hidden(text), // no word is ever spelled like that
            };
        }
        let mut merges = NumberMap::default();
        for (line, rank) in merge_list.into_iter().flat_map(StringArray::iter).zip(0..) {
            // The first of two equal merges counts. A part may start with a space, but not with two.
            let Some(space) = line.iter().skip(1).position(|byte| *byte == b' ') else { continue };
            let (left, right) = (&line[..space + 1], &line[space + 2..]);
            if let (Some(left), Some(right)) = (to_piece_text(left), to_piece_text(right)) {
                let (left_piece, right_piece) = (pieces.intern(&left), pieces.intern(&right));
                let piece = pieces.intern(&[left, right].concat());
                merges.entry(pair_key(left_piece, right_piece)).or_insert(Joined { rank, piece });
            }
        }
        let bytes = (0..=255_u8).map(|byte| pieces.get(&[byte]).unwrap_or(NO_PIECE)).collect();
        let junctions = plain.then(|| Junctions::new((0..pieces.len() as u32).map(|piece| pieces.text(piece))));
        BytePair { tokens: vocabulary.len() as u32, pieces, merges, bytes, junctions }
    }

    /// Cuts the text into words and merges them.
    pub(crate) fn encode(&self, vocabulary: &Vocabulary, text: &[u8], out: &mut Vec<u32>) {
        let PreTokenizer { habits, .. } = vocabulary.pre_tokenizer;
        let mut merger = WordMerger::default();
        vocabulary.pre_tokenizer.words(text, &mut |word| {
            let whole = habits.ignore_merges || (habits.gemma4 && word.iter().all(|byte| *byte == b'\n'));
            if whole && let Some(token) = self.pieces.get(word).filter(|piece| *piece < self.tokens) {
                out.push(token);
                return;
            }
            let mut merge = |part| {
                merger.word(self, part, out, |piece, bytes, out| match piece {
                    token if token < self.tokens => out.push(token),
                    _ => self.spell(vocabulary, bytes, out),
                });
            };
            match &self.junctions {
                Some(junctions) => junctions.cut(word, &mut merge),
                None => merge(word),
            }
        });
    }

    /// Tokens for a piece that is none: byte tokens, or the single letters that happen to be tokens.
    fn spell(&self, vocabulary: &Vocabulary, bytes: &[u8], out: &mut Vec<u32>) {
        for byte in bytes {
            if self.junctions.is_some() {
                out.extend(vocabulary.texts.get(crate::vocabulary::byte_text(*byte).as_bytes()));
            } else {
                let mut letter = Vec::with_capacity(2);
                encode(byte_to_letter(*byte), &mut letter);
                out.extend(letter.iter().filter_map(|byte| vocabulary.texts.get(&[*byte])));
            }
        }
    }
}

impl MergeRules for BytePair {
    fn first_symbol(&self, text: &[u8]) -> (usize, u32) {
        if self.junctions.is_none() {
            return (1, self.bytes[text[0] as usize]);
        }
        let length = announced_length(text[0]).min(text.len());
        (length, self.pieces.get(&text[..length]).unwrap_or(NO_PIECE))
    }

    fn join(&self, pair: Pair<'_>) -> Option<Joined> {
        if pair.left == NO_PIECE || pair.right == NO_PIECE {
            return None;
        }
        self.merges.get(&pair_key(pair.left, pair.right)).copied()
    }
}

fn pair_key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// GPT-2's letter of a byte: itself where it is printable in Latin-1, else the next one from U+0100 on.
pub(crate) fn byte_to_letter(byte: u8) -> u32 {
    let number = u32::from(byte);
    match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => number,
        0x00..=0x20 => 0x100 + number,
        0x7f..=0xa0 => 0x100 + 0x21 + (number - 0x7f),
        0xad => 0x143,
    }
}

/// The byte of one of GPT-2's letters.
pub(crate) fn letter_to_byte(letter: u32) -> Option<u8> {
    let byte = match letter {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => letter,
        0x100..=0x120 => letter - 0x100,
        0x121..=0x142 => letter - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// The bytes that a text of such letters stands for, if it has no others.
fn letters_to_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (letter, length) = decode(text, at)?;
        bytes.push(letter_to_byte(letter)?);
        at += length;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let mut letters: Vec<u32> = (0..=255).map(byte_to_letter).collect();
        for (byte, letter) in (0..=255).zip(&letters) {
            assert_eq!(letter_to_byte(*letter), Some(byte));
        }
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 256);
        assert_eq!(byte_to_letter(b' '), u32::from('Ġ'));
        assert_eq!(byte_to_letter(b'\n'), u32::from('Ċ'));
        assert_eq!(letter_to_byte(u32::from('▁')), None);
    }
}
