//! PLaMo 2's tokenizer: the segmentation with the best sum of rounded token scores, found from the end of the text.
//!
//! A character without a token costs 1000 and is written as byte tokens. Source: PLaMo 2's `tokenization_plamo.py`, in
//! the form of llama.cpp.

use crate::trie::Trie;
use crate::unicode::decode;
use crate::vocabulary::{Attributes, Vocabulary, byte_of_text};

/// Scores are kept in ten-thousandths.
const SCALE: f32 = 1e4;
const UNKNOWN_SCORE: i64 = -10_000_000;
/// At or below this a token is never used.
const UNUSABLE_SCORE: i64 = -20_000_000;

/// Tokens as a trie, and the byte tokens.
#[derive(Debug)]
pub(crate) struct Plamo2 {
    tokens: Trie,
    scores: Vec<i64>,
    bytes: Vec<Option<u32>>,
}

/// The cheapest way from a position to the end starts with this token.
#[derive(Clone, Copy)]
struct Step {
    cost: i64,
    token: Option<u32>,
    length: u32,
}

impl Plamo2 {
    pub(crate) fn new(vocabulary: &Vocabulary) -> Plamo2 {
        let mut bytes = vec![None; 256];
        let mut tokens = Vec::new();
        for id in vocabulary.ids() {
            let text = vocabulary.texts.text(id);
            if !vocabulary.attributes(id).is(Attributes::BYTE) {
                tokens.push((text, id));
            } else if let Some(byte) = byte_of_text(text) {
                bytes[byte as usize] = Some(id);
            }
        }
        let scores = vocabulary.scores.iter().map(|score| match (score * SCALE).round() {
            rounded if rounded.is_finite() => i64::from(rounded as i32),
            _ => UNUSABLE_SCORE,
        });
        Plamo2 { scores: scores.collect(), tokens: Trie::new(tokens), bytes }
    }

    /// Appends the tokens of a text that is valid (lenient) UTF-8.
    pub(crate) fn encode(&self, text: &[u8], out: &mut Vec<u32>) {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let mut steps = vec![Step { cost: 0, token: None, length: 1 }; text.len() + 1];
        let mut at = text.len();
        while at > 0 {
            at -= 1;
            if text[at] & 0xc0 == 0x80 {
                continue; // inside a character
            }
            steps[at] = self.cheapest(&text[at..], &steps[at..]);
        }
        let mut at = 0;
        while at < text.len() {
            let Step { token, length, .. } = steps[at];
            let end = (at + length as usize).min(text.len());
            match token {
                Some(token) => out.push(token),
                None => out.extend(text[at..end].iter().filter_map(|byte| self.bytes[*byte as usize])),
            }
            at = end;
        }
    }

    /// Of equal costs the longest token wins, and any token before the unknown character.
    fn cheapest(&self, text: &[u8], steps: &[Step]) -> Step {
        let character = decode(text, 0).map_or(1, |(_, length)| length);
        let mut best = Step { cost: i64::MAX, token: None, length: character as u32 };
        for (token, length) in self.tokens.prefixes(text) {
            let score = self.scores[token as usize];
            let cost = steps[length].cost - score;
            if score > UNUSABLE_SCORE && cost <= best.cost {
                best = Step { cost, token: Some(token), length: length as u32 };
            }
        }
        let unknown = steps[character].cost - UNKNOWN_SCORE;
        if unknown < best.cost { Step { cost: unknown, token: None, length: character as u32 } } else { best }
    }
}
