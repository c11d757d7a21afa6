//! SentencePiece's unigram model: the segmentation with the best sum of token scores.
//!
//! Text is normalised first (the file's character map, spaces to U+2581), then a forward pass keeps, for every position,
//! the best way to get there. Scores are summed in double precision and compared with `>`, as SentencePiece does, so
//! that ties fall the same way. Source: SentencePiece's `unigram_model.cc`, in the form of llama.cpp.

use crate::TokenizerError;
use crate::character_map::CharacterMap;
use crate::trie::Trie;
use crate::unicode::{announced_length, decode};
use crate::vocabulary::{Attributes, Vocabulary};
use crate::words::Junctions;

/// Subtracted from the worst score for a character without a token.
const UNKNOWN_PENALTY: f32 = 10.0;
const SPACE: &[u8] = "\u{2581}".as_bytes();

/// Tokens as tries, and the normalisation.
#[derive(Debug)]
pub(crate) struct Unigram {
    tokens: Trie,
    user_defined: Trie,
    character_map: Option<CharacterMap>,
    /// For every token; user-defined ones have 0, the best there is.
    scores: Vec<f32>,
    unknown: u32,
    unknown_score: f32,
    junctions: Junctions,
}

/// The best way to a position.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    token: u32,
    /// Bytes of the token.
    length: u32,
}

impl Unigram {
    pub(crate) fn new(vocabulary: &Vocabulary, character_map: Option<&[u8]>) -> Result<Unigram, TokenizerError> {
        let with = |attributes: Attributes| {
            let ids = vocabulary.ids().filter(move |id| vocabulary.attributes(*id).is(attributes));
            ids.map(|id| (vocabulary.texts.text(id), id)).collect::<Vec<_>>()
        };
        let searched = with(Attributes::NORMAL.or(Attributes::USER_DEFINED).or(Attributes::UNUSED));
        let normal_scores = with(Attributes::NORMAL).into_iter().map(|(_, id)| vocabulary.scores[id as usize]);
        let worst = normal_scores.fold(f32::MAX, f32::min);
        let mut scores = vocabulary.scores.clone();
        for (_, id) in with(Attributes::USER_DEFINED) {
            scores[id as usize] = 0.0;
        }
        Ok(Unigram {
            junctions: Junctions::new(searched.iter().map(|(text, _)| *text)),
            tokens: Trie::new(searched),
            user_defined: Trie::new(with(Attributes::USER_DEFINED)),
            character_map: character_map.map(CharacterMap::new).transpose()?,
            scores,
            unknown: vocabulary.special.unknown.unwrap_or(0),
            unknown_score: worst - UNKNOWN_PENALTY,
        })
    }

    pub(crate) fn encode(&self, vocabulary: &Vocabulary, text: &[u8], out: &mut Vec<u32>) {
        let normalized = self.normalize(vocabulary, text);
        let before = out.len();
        let mut bests = Vec::new();
        let mut score = 0.0;
        self.junctions.cut(&normalized, &mut |part| {
            score = self.segment(part, score, &mut bests);
            self.read_back(part.len(), &bests, before, out);
        });
    }

    /// Fills `bests` for a part of the text that no token leaves; scores go on from those of the parts before.
    fn segment(&self, text: &[u8], score: f64, bests: &mut Vec<Best>) -> f64 {
        bests.clear();
        bests.resize(text.len() + 1, Best { score: f64::MIN, token: self.unknown, length: 0 });
        bests[0].score = score;
        let mut at = 0;
        while at < text.len() {
            let character = announced_length(text[at]).min(text.len() - at);
            let score = bests[at].score;
            let mut spelled = false;
            let mut offer = |token: u32, length: usize, score: f64| {
                let best = &mut bests[at + length];
                if score > best.score {
                    *best = Best { score, token, length: length as u32 };
                }
            };
            for (token, length) in self.tokens.prefixes(&text[at..]) {
                spelled |= length == character;
                offer(token, length, score + f64::from(self.scores[token as usize]));
            }
            if !spelled {
                offer(self.unknown, character, score + f64::from(self.unknown_score));
            }
            at += character;
        }
        bests[text.len()].score
    }

    /// Appends the tokens of the best way; a run of unknown characters is one unknown token.
    fn read_back(&self, end: usize, bests: &[Best], before: usize, out: &mut Vec<u32>) {
        let start = out.len();
        let mut previous = None;
        let mut at = end;
        while at > 0 {
            let Best { token, length, .. } = bests[at];
            if !(token == self.unknown && previous == Some(token)) {
                out.push(token);
            }
            previous = Some(token);
            at = at.saturating_sub(length.max(1) as usize);
        }
        out[start..].reverse();
        // The run may have begun in the part before.
        if start > before && out[start - 1] == self.unknown && out.get(start) == Some(&self.unknown) {
            out.remove(start);
        }
    }

    fn normalize(&self, vocabulary: &Vocabulary, text: &[u8]) -> Vec<u8> {
        let mut normalized = Vec::with_capacity(text.len() + text.len() / 2);
        let merge_spaces = vocabulary.remove_extra_whitespaces;
        let mut prefix_wanted = vocabulary.add_space_prefix;
        let mut in_word = false;
        let mut at = 0;
        while at < text.len() {
            let (replacement, length) = self.normalize_start(&text[at..]);
            for byte in replacement {
                if *byte != b' ' {
                    if !in_word && (prefix_wanted || merge_spaces) {
                        normalized.extend_from_slice(SPACE);
                        prefix_wanted = false;
                    }
                    in_word = true;
                    normalized.push(*byte);
                } else {
                    in_word = false;
                    if !merge_spaces {
                        normalized.extend_from_slice(SPACE);
                    }
                }
            }
            at += length;
        }
        normalized
    }

    /// What the start of a text becomes, and how many bytes of it that was.
    fn normalize_start<'a>(&'a self, text: &'a [u8]) -> (&'a [u8], usize) {
        // As in llama.cpp, the beginning of a user-defined token is enough to be left alone.
        let kept = self.user_defined.path_length(text);
        if kept > 0 {
            return (&text[..kept], kept);
        }
        if let Some(found) = self.character_map.as_ref().and_then(|map| map.longest(text)) {
            return (found.text, found.length);
        }
        match decode(text, 0) {
            Some((_, length)) => (&text[..length], length),
            None => ("\u{fffd}".as_bytes(), 1),
        }
    }
}
