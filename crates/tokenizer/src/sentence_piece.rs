//! SentencePiece's BPE: neighbours are joined whenever the result is a token, those with the best score first.
//!
//! Takes text with spaces already written as U+2581. What is no token in the end becomes byte tokens.
//! Source: SentencePiece's `bpe_model.cc`, in the form of llama.cpp.

use crate::merge::{Joined, MergeRules, NO_PIECE, Pair};
use crate::unicode::announced_length;
use crate::vocabulary::Vocabulary;
use crate::words::{Junctions, WordMerger};

/// Scores as ranks, and where texts may be cut.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    /// For every token, its place among all scores, best first; equal scores share a place.
    ranks: Vec<u32>,
    junctions: Junctions,
    /// The tokens of the bytes; the unknown token where there is none.
    bytes: Vec<Option<u32>>,
}

impl SentencePiece {
    pub(crate) fn new(vocabulary: &Vocabulary) -> SentencePiece {
        let mut order: Vec<u32> = vocabulary.ids().collect();
        let score = |id: &u32| vocabulary.scores[*id as usize] + 0.0; // both zeros are one
        order.sort_by(|left, right| score(right).total_cmp(&score(left)));
        let mut ranks = vec![0; order.len()];
        let mut rank = 0;
        for (index, id) in order.iter().enumerate() {
            if index > 0 && score(id) != score(&order[index - 1]) {
                rank += 1;
            }
            ranks[*id as usize] = rank;
        }
        SentencePiece {
            ranks,
            junctions: Junctions::new(vocabulary.ids().map(|id| vocabulary.texts.text(id))),
            bytes: (0..=255).map(|byte| vocabulary.byte_token(byte).or(vocabulary.special.unknown)).collect(),
        }
    }

    pub(crate) fn encode(&self, vocabulary: &Vocabulary, text: &[u8], out: &mut Vec<u32>) {
        let rules = Rules { vocabulary, ranks: &self.ranks };
        let mut merger = WordMerger::default();
        self.junctions.cut(text, &mut |part| {
            merger.word(&rules, part, out, |piece, bytes, out| match piece {
                NO_PIECE => out.extend(bytes.iter().filter_map(|byte| self.bytes[*byte as usize])),
                token => out.push(token),
            });
        });
    }
}

struct Rules<'a> {
    vocabulary: &'a Vocabulary,
    ranks: &'a [u32],
}

impl MergeRules for Rules<'_> {
    fn first_symbol(&self, text: &[u8]) -> (usize, u32) {
        let length = announced_length(text[0]).min(text.len());
        (length, self.vocabulary.texts.get(&text[..length]).unwrap_or(NO_PIECE))
    }

    fn join(&self, pair: Pair<'_>) -> Option<Joined> {
        if pair.text.len() > self.vocabulary.longest_token {
            return None;
        }
        let piece = self.vocabulary.texts.get(pair.text)?;
        Some(Joined { rank: self.ranks[piece as usize], piece })
    }
}
