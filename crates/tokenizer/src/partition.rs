//! Finds special tokens written out in a text, before any other splitting.
//!
//! llama.cpp goes through the special tokens from the longest text to the shortest and cuts every occurrence out of what
//! is left of the text. The same cuts are found here in one pass: an Aho-Corasick automaton names, for every position,
//! the longest token that ends there, and a queue accepts candidates in llama.cpp's order, falling back to the next
//! shorter one where an accepted token is in the way.
//! Invariant: O(n log n) in the text, whatever the number of special tokens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::trie::Trie;

/// A special token and whether it takes the white space beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpecialToken<'a> {
    pub(crate) id: u32,
    pub(crate) text: &'a [u8],
    pub(crate) strip: Strip,
}

/// The white space that vanishes with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strip {
    Nothing,
    Left,
    Right,
}

/// A part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fragment {
    Token(u32),
    Text(Range<usize>),
}

/// What is kept of a [`SpecialToken`]; its index is its turn.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    length: usize,
    strip: Strip,
}

/// The automaton.
#[derive(Debug)]
pub(crate) struct Partitioner {
    entries: Vec<Entry>,
    trie: Trie,
    /// For every node, the node of its longest proper suffix.
    failure: Vec<u32>,
    /// For every node, the nearest one on its failure path, itself excluded, at which a token ends.
    shorter: Vec<u32>,
    /// Whether a token starts with the byte.
    starts: [bool; 256],
}

/// No node.
const NONE: u32 = u32::MAX;

impl Partitioner {
    pub(crate) fn new<'a>(tokens: impl Iterator<Item = SpecialToken<'a>>) -> Partitioner {
        let mut tokens: Vec<_> = tokens.filter(|token| !token.text.is_empty()).collect();
        tokens.sort_by_key(|token| Reverse(token.text.len()));
        let trie = Trie::new(tokens.iter().zip(0..).map(|(token, turn)| (token.text, turn)).collect());
        let mut starts = [false; 256];
        for (byte, _) in trie.children(Trie::ROOT) {
            starts[byte as usize] = true;
        }
        let mut automaton = Partitioner {
            entries: tokens
                .iter()
                .map(|token| Entry { id: token.id, length: token.text.len(), strip: token.strip })
                .collect(),
            failure: vec![Trie::ROOT; trie.len()],
            shorter: vec![NONE; trie.len()],
            trie,
            starts,
        };
        automaton.link();
        automaton
    }

    /// Fills the failure links; nodes are numbered breadth first, so that a node's links are known before its children's.
    fn link(&mut self) {
        for node in 0..self.trie.len() as u32 {
            let children: Vec<_> = self.trie.children(node).collect();
            for (byte, child) in children {
                let failure =
                    if node == Trie::ROOT { Trie::ROOT } else { self.step(self.failure[node as usize], byte) };
                self.failure[child as usize] = failure;
                let ends_there = self.trie.value(failure).is_some();
                self.shorter[child as usize] = if ends_there { failure } else { self.shorter[failure as usize] };
            }
        }
    }

    fn step(&self, mut node: u32, byte: u8) -> u32 {
        loop {
            match self.trie.child(node, byte) {
                Some(child) => return child,
                None if node == Trie::ROOT => return Trie::ROOT,
                None => node = self.failure[node as usize],
            }
        }
    }

    /// Cuts the text.
    pub(crate) fn partition(&self, text: &[u8]) -> Vec<Fragment> {
        let candidates = self.longest_matches(text);
        if candidates.is_empty() {
            return if text.is_empty() { Vec::new() } else { vec![Fragment::Text(0..text.len())] };
        }
        let mut accepted = self.accept(text, candidates);
        accepted.sort_unstable_by_key(|(range, _)| range.start);
        let mut fragments = Vec::with_capacity(accepted.len() * 2 + 1);
        let mut start = 0;
        for (range, id) in accepted {
            if start < range.start {
                fragments.push(Fragment::Text(start..range.start));
            }
            fragments.push(Fragment::Token(id));
            start = range.end;
        }
        if start < text.len() {
            fragments.push(Fragment::Text(start..text.len()));
        }
        fragments
    }

    /// For every position at which tokens end, the longest of them.
    fn longest_matches(&self, text: &[u8]) -> Vec<Reverse<Candidate>> {
        let mut candidates = Vec::new();
        let mut node = Trie::ROOT;
        let mut at = 0;
        while at < text.len() {
            if node == Trie::ROOT {
                match text[at..].iter().position(|byte| self.starts[*byte as usize]) {
                    Some(skipped) => at += skipped,
                    None => break,
                }
            }
            node = self.step(node, text[at]);
            at += 1;
            let ending = if self.trie.value(node).is_some() { node } else { self.shorter[node as usize] };
            candidates.extend(self.candidate(ending, at).map(Reverse));
        }
        candidates
    }

    fn candidate(&self, node: u32, end: usize) -> Option<Candidate> {
        let turn = (node != NONE).then(|| self.trie.value(node)).flatten()?;
        Some(Candidate { turn, node, start: end - self.entries[turn as usize].length })
    }

    /// Takes candidates by turn and from left to right; ranges include the white space that goes with a token.
    fn accept(&self, text: &[u8], candidates: Vec<Reverse<Candidate>>) -> Vec<(Range<usize>, u32)> {
        let mut queue = BinaryHeap::from(candidates);
        let mut covered = vec![false; text.len()];
        let mut accepted = Vec::new();
        while let Some(Reverse(candidate)) = queue.pop() {
            let entry = self.entries[candidate.turn as usize];
            let (mut start, mut end) = (candidate.start, candidate.start + entry.length);
            // No accepted token is shorter than this one, so one in the way covers one of its ends.
            if covered[end - 1] {
                continue;
            }
            if covered[start] {
                let shorter = self.candidate(self.shorter[candidate.node as usize], end);
                queue.extend(shorter.map(Reverse));
                continue;
            }
            if entry.strip == Strip::Left {
                while start > 0 && !covered[start - 1] && is_space(text[start - 1]) {
                    start -= 1;
                }
            }
            if entry.strip == Strip::Right {
                while end < text.len() && !covered[end] && is_space(text[end]) {
                    end += 1;
                }
            }
            covered[start..end].fill(true);
            accepted.push((start..end, entry.id));
        }
        accepted
    }
}

/// A token at a place, ordered as llama.cpp looks for them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    turn: u32,
    start: usize,
    node: u32,
}

/// White space as C's `isspace` has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitioner(texts: &[&'static str], strip: Strip) -> Partitioner {
        Partitioner::new(texts.iter().zip(0..).map(|(text, id)| SpecialToken { id, text: text.as_bytes(), strip }))
    }

    /// `[n]` for a token, the text itself for text.
    fn shown(partitioner: &Partitioner, text: &str) -> String {
        let show = |fragment| match fragment {
            Fragment::Token(id) => format!("[{id}]"),
            Fragment::Text(range) => format!("{}|", &text[range]),
        };
        partitioner.partition(text.as_bytes()).into_iter().map(show).collect()
    }

    /// llama.cpp's own way, slowly.
    fn slow(texts: &[&'static str], text: &str) -> String {
        let mut order: Vec<_> = (0..texts.len()).collect();
        order.sort_by_key(|index| Reverse(texts[*index].len()));
        let mut fragments = vec![(text.to_owned(), None)];
        for index in order {
            let mut next = Vec::new();
            for (text, token) in fragments {
                if token.is_some() {
                    next.push((text, token));
                    continue;
                }
                let mut parts = text.split(texts[index]).peekable();
                while let Some(part) = parts.next() {
                    if !part.is_empty() {
                        next.push((part.to_owned(), None));
                    }
                    if parts.peek().is_some() {
                        next.push((String::new(), Some(index)));
                    }
                }
            }
            fragments = next;
        }
        let show = |(text, token): &(String, Option<usize>)| token.map_or(format!("{text}|"), |id| format!("[{id}]"));
        fragments.iter().map(show).collect()
    }

    #[test]
    fn cuts_tokens_out() {
        let cases: &[(&[&'static str], Strip, &str, &str)] = &[
            (&["<s>", "</s>"], Strip::Nothing, "<s>a</s><s>", "[0]a|[1][0]"),
            (&["<s>"], Strip::Nothing, "", ""),
            (&["<s>"], Strip::Nothing, "plain", "plain|"),
            (&["ab", "bcd"], Strip::Nothing, "abcd", "a|[1]"),
            (&["aa"], Strip::Nothing, "aaaaa", "[0][0]a|"),
            (&["a", "aaa"], Strip::Nothing, "aaaaa", "[1][0][0]"),
            (&["<m>"], Strip::Left, "x  <m>  y", "x|[0]  y|"),
            (&["<m>"], Strip::Right, "x  <m>  y", "x  |[0]y|"),
            (&["<m>"], Strip::Right, " <m> <m> ", " |[0][0]"),
            (&["<m>"], Strip::Left, " <m> <m> ", "[0][0] |"),
            (&[], Strip::Nothing, "abc", "abc|"),
        ];
        for (texts, strip, text, expected) in cases {
            assert_eq!(shown(&partitioner(texts, *strip), text), *expected, "{texts:?} in {text:?}");
        }
    }

    #[test]
    fn agrees_with_a_token_by_token_search() {
        let sets: &[&[&'static str]] =
            &[&["ab", "b", "bab", "aab"], &["a", "aa", "aaaa"], &["abc", "bca", "cab", "c"], &["aba", "bab", "ba"]];
        for texts in sets {
            let fast = partitioner(texts, Strip::Nothing);
            for number in 0..3_u32.pow(9) {
                let text: String =
                    (0..9).map(|digit| char::from(b'a' + (number / 3_u32.pow(digit) % 3) as u8)).collect();
                assert_eq!(shown(&fast, &text), slow(texts, &text), "{texts:?} in {text:?}");
            }
        }
    }

    #[test]
    fn nested_tokens_over_a_long_run_end() {
        let texts: Vec<String> = (1..=40).map(|length| "\n".repeat(length)).collect();
        let tokens = texts.iter().zip(0..);
        let partitioner = Partitioner::new(tokens.map(|(text, id)| SpecialToken {
            id,
            text: text.as_bytes(),
            strip: Strip::Nothing,
        }));
        let fragments = partitioner.partition("\n".repeat(1_000_007).as_bytes());
        assert_eq!(fragments.len(), 25_001);
        assert_eq!(fragments.last(), Some(&Fragment::Token(6)));
    }
}
