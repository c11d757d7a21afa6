//! How a stage cuts a piece of text: by finding matches, or by its own loop.
//!
//! A pre-tokenizer is a list of stages; each cuts every piece that the one before left. Invariants: the pieces handed out
//! are never empty, and joined together they are the input; a look ahead never sees past the piece; the cost is linear.

use super::words::WordRules;
use crate::unicode::{Character, Class, character_at};

/// One step of a pre-tokenizer.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// Matches become pieces, and so does what lies between two of them.
    Find(fn(&[u8], usize) -> Option<usize>),
    /// Runs of characters for which the function holds become pieces, and so does what lies between.
    Runs(fn(Character) -> bool),
    /// Every single character for which the function holds.
    Each(fn(Character) -> bool),
    /// The family of patterns for words, numbers, symbols and white space.
    Words(&'static WordRules),
    /// GPT-2's pattern: [`super::gpt2`].
    Gpt2,
    /// Kimi K2's pattern: [`super::kimi`].
    KimiK2,
    /// Runs of numbers in groups of at most so many, counted from the left.
    NumberGroups(usize),
    /// Runs of numbers in groups of three, counted from the right.
    NumberThousands,
    /// SuperBPE's `(?=(\d{3})+(?!\d))`: a cut wherever a multiple of three ASCII digits is left.
    BeforeThousands,
    /// White space at the end of the piece.
    TrailingWhitespace,
    /// Runs of line feeds, and all else.
    LineFeeds,
}

impl Stage {
    /// Hands out the pieces of `text` in order.
    pub(crate) fn cut<'t>(&self, text: &'t [u8], emit: &mut dyn FnMut(&'t [u8])) {
        match self {
            Stage::Find(matcher) => find(text, *matcher, emit),
            Stage::Runs(holds) => find(text, |text, at| some_if_moved(at, skip_while(text, at, holds)), emit),
            Stage::Each(holds) => find(
                text,
                |text, at| {
                    let character = character_at(text, at);
                    holds(character).then_some(at + character.length)
                },
                emit,
            ),
            Stage::Words(rules) => {
                let mut whitespace = WhitespaceRun::default();
                find(text, |text, at| rules.match_at(text, at, &mut whitespace), emit);
            }
            Stage::KimiK2 => {
                let mut whitespace = WhitespaceRun::default();
                find(text, |text, at| super::kimi::match_at(text, at, &mut whitespace), emit);
            }
            Stage::Gpt2 => find(text, super::gpt2::match_at, emit),
            Stage::NumberGroups(most) => find(text, |text, at| some_if_moved(at, numbers(text, at, *most)), emit),
            Stage::NumberThousands => number_thousands(text, emit),
            Stage::BeforeThousands => before_thousands(text, emit),
            Stage::TrailingWhitespace => {
                let end = trailing_whitespace(text);
                emit_between(text, 0, end, emit);
                emit_between(text, end, text.len(), emit);
            }
            Stage::LineFeeds => {
                for run in text.chunk_by(|left, right| (*left == b'\n') == (*right == b'\n')) {
                    emit(run);
                }
            }
        }
    }
}

/// Runs all stages from `stages` on.
pub(crate) fn cut_all<'t>(stages: &[Stage], text: &'t [u8], emit: &mut dyn FnMut(&'t [u8])) {
    match stages {
        [] => emit_between(text, 0, text.len(), emit),
        [last] => last.cut(text, emit),
        [first, rest @ ..] => first.cut(text, &mut |piece| cut_all(rest, piece, emit)),
    }
}

fn emit_between<'t>(text: &'t [u8], start: usize, end: usize, emit: &mut dyn FnMut(&'t [u8])) {
    if start < end {
        emit(&text[start..end]);
    }
}

/// Goes through the text as a regular expression's iterator does.
fn find<'t>(text: &'t [u8], mut matcher: impl FnMut(&'t [u8], usize) -> Option<usize>, emit: &mut dyn FnMut(&'t [u8])) {
    let mut unmatched = 0;
    let mut at = 0;
    while at < text.len() {
        match matcher(text, at).filter(|end| *end > at) {
            Some(end) => {
                emit_between(text, unmatched, at, emit);
                emit_between(text, at, end, emit);
                unmatched = end;
                at = end;
            }
            None => at += character_at(text, at).length,
        }
    }
    emit_between(text, unmatched, text.len(), emit);
}

/// `end` if it lies behind `at`.
pub(crate) fn some_if_moved(at: usize, end: usize) -> Option<usize> {
    (end > at).then_some(end)
}

/// The end of the run of characters for which `holds` is true.
pub(crate) fn skip_while(text: &[u8], mut at: usize, holds: impl Fn(Character) -> bool) -> usize {
    loop {
        let character = character_at(text, at);
        if character.is_end() || !holds(character) {
            return at;
        }
        at += character.length;
    }
}

/// The end of a run of at most `most` numbers.
pub(crate) fn numbers(text: &[u8], mut at: usize, most: usize) -> usize {
    for _ in 0..most {
        let character = character_at(text, at);
        if !character.is(Class::NUMBER) {
            break;
        }
        at += character.length;
    }
    at
}

/// Cuts runs of numbers so that all groups but the first have three. As in llama.cpp, the first group stays in one piece
/// with the text before it.
fn number_thousands<'t>(text: &'t [u8], emit: &mut dyn FnMut(&'t [u8])) {
    let mut start = 0; // of what is not handed out yet
    let mut at = 0;
    while at < text.len() {
        let first = character_at(text, at);
        if !first.is(Class::NUMBER) {
            at += first.length;
            continue;
        }
        let mut count = 0;
        let mut end = at;
        while character_at(text, end).is(Class::NUMBER) {
            end = numbers(text, end, 1);
            count += 1;
        }
        while at < end {
            let group = if count % 3 == 0 { 3 } else { count % 3 };
            at = numbers(text, at, group);
            emit_between(text, start, at, emit);
            count -= group;
            start = at;
        }
    }
    emit_between(text, start, text.len(), emit);
}

fn before_thousands<'t>(text: &'t [u8], emit: &mut dyn FnMut(&'t [u8])) {
    let mut start = 0;
    let mut at = 0;
    for run in text.chunk_by(|left, right| left.is_ascii_digit() == right.is_ascii_digit()) {
        let end = at + run.len();
        if run[0].is_ascii_digit() {
            for cut in (at + run.len() % 3..end).step_by(3) {
                emit_between(text, start, cut, emit);
                start = cut;
            }
        }
        at = end;
    }
    emit_between(text, start, text.len(), emit);
}

/// Where the white space at the end of the text starts.
fn trailing_whitespace(text: &[u8]) -> usize {
    let mut start = text.len();
    while start > 0 {
        let mut before = start - 1;
        while before > 0 && start - before < 4 && text[before] & 0xc0 == 0x80 {
            before -= 1;
        }
        if !character_at(text, before).is(Class::WHITESPACE) {
            break;
        }
        start = before;
    }
    start
}

/// The run of white space that was looked at last, so that a pattern which takes a long run in small bites scans it once.
#[derive(Default)]
pub(crate) struct WhitespaceRun {
    end: usize,
    /// Behind the last carriage return or line feed of the run.
    after_newline: usize,
    /// Where the last character of the run starts.
    last: usize,
}

/// What is known of the white space at a position.
#[derive(Clone, Copy)]
pub(crate) struct Whitespace {
    /// The end of the run.
    pub(crate) end: usize,
    /// Behind the last newline of the run, if there is one.
    pub(crate) after_newline: Option<usize>,
    /// Where the last character of the run starts.
    pub(crate) last: usize,
}

impl WhitespaceRun {
    /// The run that `at` is in; `None` where there is no white space.
    pub(crate) fn at(&mut self, text: &[u8], at: usize) -> Option<Whitespace> {
        if at >= self.end {
            *self = WhitespaceRun { end: at, after_newline: 0, last: at };
            loop {
                let character = character_at(text, self.end);
                if !character.is(Class::WHITESPACE) {
                    break;
                }
                self.last = self.end;
                self.end += character.length;
                if matches!(text[self.last], b'\r' | b'\n') {
                    self.after_newline = self.end;
                }
            }
        }
        let after_newline = (self.after_newline > at).then_some(self.after_newline);
        (self.end > at).then_some(Whitespace { end: self.end, after_newline, last: self.last })
    }
}
