//! Kimi K2's pattern: runs of Han characters, and GPT-4o's words without Han characters and without regard to case.
//!
//! Source: `tokenization_kimi.py`, as llama.cpp reads it.

use super::stage::{WhitespaceRun, numbers, skip_while, some_if_moved};
use super::words::{AfterSymbols, Case, LETTER_NUMBER, WordRules, contraction};
use crate::unicode::{Character, Class, character_at};

/// What is not a word: numbers, symbols, white space.
const REST: WordRules = WordRules { after_symbols: AfterSymbols::Newlines, ..WordRules::LLAMA3 };

fn is_han(character: Character) -> bool {
    matches!(
        character.code,
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x2_A6DF | 0x2_A700..=0x2_EBEF | 0x2_F800..=0x2_FA1F
    )
}

fn is_letter(character: Character) -> bool {
    character.is(Class::LETTER) && !is_han(character)
}

/// The end of the match at `at`.
pub(crate) fn match_at(text: &[u8], at: usize, run: &mut WhitespaceRun) -> Option<usize> {
    let first = character_at(text, at);
    if is_han(first) {
        return Some(skip_while(text, at, is_han));
    }
    let leads = !matches!(text[at], b'\r' | b'\n') && !first.is(LETTER_NUMBER);
    let start = if leads { at + first.length } else { at };
    if let Some(end) = some_if_moved(start, skip_while(text, start, is_letter)) {
        return Some(contraction(text, end, Case::Any).unwrap_or(end));
    }
    some_if_moved(at, numbers(text, at, 3)).or_else(|| REST.symbols_or_whitespace(text, at, run))
}
