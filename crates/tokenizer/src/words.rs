//! Merging many words of one text: repeated words are merged once, and long texts fall apart where no token crosses.
//!
//! Shared by the two byte-pair families. Invariant: neither the cache nor the cuts change the outcome; a cut is made only
//! between two characters that stand side by side in no token, so no merge could ever join across it.

use crate::merge::{MergeRules, Merger};
use crate::rank_queue::NumberMap;
use crate::text_index::mix;
use crate::unicode::announced_length;

/// Longer words are rare enough to be merged every time.
const LONGEST_CACHED: usize = 64;
/// About 4 MB of cache at the most.
const MOST_CACHED: usize = 1 << 16;

/// A merger that remembers where in the output a word's tokens are.
#[derive(Default)]
pub(crate) struct WordMerger<'t> {
    merger: Merger,
    seen: NumberMap<&'t [u8], (usize, usize)>,
}

impl<'t> WordMerger<'t> {
    /// Appends the tokens of `word`; `finish` turns a piece and its bytes into tokens. All words go to the same output.
    pub(crate) fn word<R: MergeRules>(
        &mut self,
        rules: &R,
        word: &'t [u8],
        out: &mut Vec<u32>,
        finish: impl Fn(u32, &[u8], &mut Vec<u32>),
    ) {
        let cached = word.len() <= LONGEST_CACHED;
        if cached && let Some((start, end)) = self.seen.get(word).copied() {
            out.extend_from_within(start..end);
            return;
        }
        let start = out.len();
        self.merger.merge(rules, word, |piece, text| finish(piece, text, out));
        if cached && self.seen.len() < MOST_CACHED {
            self.seen.insert(word, (start, out.len()));
        }
    }
}

/// Which characters stand side by side in some token: a bit per hashed pair, so it errs only towards "yes".
#[derive(Debug)]
pub(crate) struct Junctions {
    bits: Vec<u64>,
}

const BITS: usize = 1 << 22;

impl Junctions {
    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Junctions {
        let mut bits = vec![0; BITS / 64];
        for text in texts {
            let mut previous = None;
            for character in characters(text) {
                if let Some(previous) = previous {
                    let bit = pair_bit(previous, character);
                    bits[bit / 64] |= 1 << (bit % 64);
                }
                previous = Some(character);
            }
        }
        Junctions { bits }
    }

    /// Hands out the stretches between which nothing can be joined.
    pub(crate) fn cut<'t>(&self, text: &'t [u8], emit: &mut dyn FnMut(&'t [u8])) {
        let mut start = 0;
        let mut at = 0;
        let mut previous: Option<&[u8]> = None;
        for character in characters(text) {
            if let Some(previous) = previous {
                let bit = pair_bit(previous, character);
                if self.bits[bit / 64] >> (bit % 64) & 1 == 0 {
                    emit(&text[start..at]);
                    start = at;
                }
            }
            previous = Some(character);
            at += character.len();
        }
        if start < text.len() {
            emit(&text[start..]);
        }
    }
}

/// The characters by the lengths their first bytes announce, as SentencePiece cuts them.
pub(crate) fn characters(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = announced_length(*text.first()?).min(text.len());
        let (character, rest) = text.split_at(length);
        text = rest;
        Some(character)
    })
}

fn pair_bit(left: &[u8], right: &[u8]) -> usize {
    let number = |character: &[u8]| character.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    mix(number(left) << 32 | number(right), 0x9e37_79b9_7f4a_7c15) as usize % BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_only_where_no_token_crosses() {
        let tokens: [&[u8]; 3] = ["▁the".as_bytes(), "中文".as_bytes(), b"er"];
        let junctions = Junctions::new(tokens.into_iter());
        let mut parts = Vec::new();
        junctions
            .cut("▁the▁中文er".as_bytes(), &mut |part| parts.push(String::from_utf8_lossy(part).into_owned()));
        assert_eq!(parts, ["▁the", "▁", "中文", "er"]);
        junctions.cut(b"", &mut |_| panic!("an empty text has no parts"));
    }
}
