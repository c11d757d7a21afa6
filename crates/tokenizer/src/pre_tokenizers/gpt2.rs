//! GPT-2's pattern: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//!
//! Source: the encoder of GPT-2. The last stage of many pre-tokenizers.

use super::stage::{skip_while, some_if_moved};
use super::words::{Case, contraction};
use crate::unicode::{Class, character_at};

/// The end of the match at `at`.
pub(crate) fn match_at(text: &[u8], at: usize) -> Option<usize> {
    if let Some(end) = contraction(text, at, Case::Lower) {
        return Some(end);
    }
    let start = at + usize::from(text[at] == b' ');
    let first = character_at(text, start);
    for class in [Class::LETTER, Class::NUMBER] {
        if first.is(class) {
            return Some(skip_while(text, start, |character| character.is(class)));
        }
    }
    let symbol = Class::WHITESPACE.or(Class::LETTER).or(Class::NUMBER);
    if !first.is_end() && !first.is(symbol) {
        return Some(skip_while(text, start, |character| !character.is(symbol)));
    }
    // White space, of which the last one before a word stays for it. A match takes all but one character of the run, so a
    // run is scanned twice at most.
    let mut end = at;
    let mut last = at;
    loop {
        let character = character_at(text, end);
        if !character.is(Class::WHITESPACE) {
            break;
        }
        last = end;
        end += character.length;
    }
    some_if_moved(at, if end < text.len() && last > at { last } else { end })
}
