//! The family of patterns that follow GPT-4's: contractions, words, numbers, symbols, white space, in this order.
//!
//! The patterns of Llama 3, Qwen, DeepSeek 3, GPT-4o, Tekken and others differ in a few places only; [`WordRules`] names
//! those places and [`WordRules::match_at`] takes the first alternative that fits, as the regular expression would.
//! Source: the `tokenizer.json` of the models, in the form llama.cpp gives them (`src/llama-vocab.cpp`), where `\p{Lu}`
//! and its kin stand for ASCII case or for all letters.

use super::stage::{Whitespace, WhitespaceRun, numbers, skip_while, some_if_moved};
use crate::unicode::{Character, Class, character_at};

/// The differences between the patterns.
pub(crate) struct WordRules {
    pub(crate) contractions: Contractions,
    /// A leading `[!-/:-@\[-`{-~][A-Za-z]+`.
    pub(crate) glued: Glued,
    /// What the one character before a word may not be, besides carriage return and line feed.
    pub(crate) not_before_word: Class,
    pub(crate) word: Word,
    /// `\p{N}{1,most}`; 0 where the numbers are cut elsewhere.
    pub(crate) numbers: usize,
    pub(crate) symbols: Symbols,
    pub(crate) after_symbols: AfterSymbols,
    pub(crate) whitespace: Spaces,
}

/// Where `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll`, `'d` are looked for, in any case.
#[derive(PartialEq)]
pub(crate) enum Contractions {
    Nowhere,
    /// An alternative of their own, before all others.
    First,
    /// At the end of a word.
    Suffix,
}

/// Whether ASCII punctuation joins the ASCII letters that follow it.
#[derive(PartialEq)]
pub(crate) enum Glued {
    No,
    Yes,
}

/// What makes a word.
pub(crate) enum Word {
    /// A run of these categories.
    Run(Class),
    /// Capitals before small letters, of these categories; only ASCII letters have a case, others are both.
    Cased(Class),
    /// Letters with their marks, single spaces allowed between them.
    Spaced,
}

/// Which characters a run of symbols is made of.
pub(crate) enum Symbols {
    /// All but these categories.
    Not(Class),
    /// All but these categories and newlines.
    NotNorNewline(Class),
    /// Only these categories.
    Only(Class),
}

/// What a run of symbols takes with it.
pub(crate) enum AfterSymbols {
    Nothing,
    /// `[\r\n]*`
    Newlines,
    /// `[\r\n/]*`
    NewlinesAndSlashes,
    /// `[\r\n/]?`
    OneNewlineOrSlash,
}

/// The alternatives for white space.
pub(crate) enum Spaces {
    /// `\s*[\r\n]+|\s+(?!\S)|\s+`
    ToNewline,
    /// `[\r\n]|\s+(?!\S)|\s+`
    SingleNewlines,
    /// `\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)| … |\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`
    PowersOfTwo,
}

pub(crate) const LETTER_NUMBER: Class = Class::LETTER.or(Class::NUMBER);
pub(crate) const LETTER_MARK: Class = Class::LETTER.or(Class::MARK);
pub(crate) const SPACE_LETTER_NUMBER: Class = LETTER_NUMBER.or(Class::WHITESPACE);

impl WordRules {
    /// Llama 3's pattern, from which the others are described.
    pub(crate) const LLAMA3: WordRules = WordRules {
        contractions: Contractions::First,
        glued: Glued::No,
        not_before_word: LETTER_NUMBER,
        word: Word::Run(Class::LETTER),
        numbers: 3,
        symbols: Symbols::Not(SPACE_LETTER_NUMBER),
        after_symbols: AfterSymbols::Newlines,
        whitespace: Spaces::ToNewline,
    };

    /// The end of the match at `at`.
    pub(crate) fn match_at(&self, text: &[u8], at: usize, run: &mut WhitespaceRun) -> Option<usize> {
        let first = character_at(text, at);
        if self.contractions == Contractions::First
            && let Some(end) = contraction(text, at, Case::Any)
        {
            return Some(end);
        }
        if self.glued == Glued::Yes
            && let Some(end) = glued(text, at)
        {
            return Some(end);
        }
        if let Some(end) = self.word_at(text, at, first) {
            let suffix = || contraction(text, end, Case::Any);
            return Some(if self.contractions == Contractions::Suffix { suffix().unwrap_or(end) } else { end });
        }
        some_if_moved(at, numbers(text, at, self.numbers)).or_else(|| self.symbols_or_whitespace(text, at, run))
    }

    /// The alternatives behind words and numbers.
    pub(crate) fn symbols_or_whitespace(&self, text: &[u8], at: usize, run: &mut WhitespaceRun) -> Option<usize> {
        self.symbols_at(text, at).or_else(|| self.whitespace.match_at(text, at, run.at(text, at)?))
    }

    /// `[^\r\n…]?` and a word.
    fn word_at(&self, text: &[u8], at: usize, first: Character) -> Option<usize> {
        let may_lead = !matches!(text[at], b'\r' | b'\n') && !first.is(self.not_before_word);
        let behind = may_lead.then_some(at + first.length);
        let starts = [behind, Some(at)];
        let mut starts = starts.into_iter().flatten();
        match self.word {
            Word::Run(class) => {
                starts.find_map(|start| some_if_moved(start, skip_while(text, start, |character| character.is(class))))
            }
            Word::Spaced => starts.find_map(|start| spaced_word(text, start)),
            Word::Cased(class) => starts
                .clone()
                .find_map(|start| capitals_then_small(text, start, class))
                .or_else(|| starts.find_map(|start| capitals(text, start, class))),
        }
    }

    /// ` ?`, a run of symbols, and what it takes with it.
    fn symbols_at(&self, text: &[u8], at: usize) -> Option<usize> {
        let start = at + usize::from(text[at] == b' ');
        let run_end = |start| {
            skip_while(text, start, |character| match self.symbols {
                Symbols::Not(class) => !character.is(class),
                Symbols::NotNorNewline(class) => {
                    !character.is(class) && character.code != u32::from(b'\r') && character.code != u32::from(b'\n')
                }
                Symbols::Only(class) => character.is(class),
            })
        };
        let end = some_if_moved(start, run_end(start))?;
        let newline = |at: usize| matches!(text.get(at), Some(b'\r' | b'\n'));
        let slash = |at: usize| matches!(text.get(at), Some(b'/'));
        let mut after = end;
        match self.after_symbols {
            AfterSymbols::Nothing => {}
            AfterSymbols::Newlines => {
                while newline(after) {
                    after += 1;
                }
            }
            AfterSymbols::NewlinesAndSlashes => {
                while newline(after) || slash(after) {
                    after += 1;
                }
            }
            AfterSymbols::OneNewlineOrSlash => after += usize::from(newline(after) || slash(after)),
        }
        Some(after)
    }
}

impl Spaces {
    fn match_at(&self, text: &[u8], at: usize, run: Whitespace) -> Option<usize> {
        match self {
            Spaces::ToNewline | Spaces::PowersOfTwo if run.after_newline.is_some() => return run.after_newline,
            Spaces::SingleNewlines if matches!(text[at], b'\r' | b'\n') => return Some(at + 1),
            Spaces::PowersOfTwo => return Some(power_of_two_spaces(text, at, run)),
            _ => {}
        }
        // The last one stays for the word behind it, unless it is the only one.
        Some(if run.end < text.len() && run.last > at { run.last } else { run.end })
    }
}

/// The most white space among 512, 256, … 4, 2, 1 that is followed by more of it or by the end; else one.
fn power_of_two_spaces(text: &[u8], at: usize, run: Whitespace) -> usize {
    // At most 513 characters are looked at, and a quarter of them at least is taken.
    let mut ends = [at; 514];
    let mut count = 0;
    while count < 513 && ends[count] < run.end {
        ends[count + 1] = ends[count] + character_at(text, ends[count]).length;
        count += 1;
    }
    let at_end = run.end == text.len();
    for wanted in [512, 256, 128, 64, 32, 16, 8, 4, 2, 1] {
        if wanted < count || (wanted == count && at_end) {
            return ends[wanted];
        }
    }
    ends[1]
}

/// How the letters of a contraction are compared.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    Lower,
    Any,
}

/// The end of an English contraction at `at`.
pub(crate) fn contraction(text: &[u8], at: usize, case: Case) -> Option<usize> {
    if text.get(at) != Some(&b'\'') {
        return None;
    }
    let letter = |offset: usize| {
        let byte = *text.get(at + offset)?;
        Some(match case {
            Case::Lower => byte,
            Case::Any => byte.to_ascii_lowercase(),
        })
    };
    match (letter(1)?, letter(2)) {
        (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(at + 3),
        _ => None,
    }
}

/// ASCII punctuation and the ASCII letters behind it.
fn glued(text: &[u8], at: usize) -> Option<usize> {
    let letters = text[at + 1..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    (text[at].is_ascii_punctuation() && letters > 0).then_some(at + 1 + letters)
}

/// `(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`
fn spaced_word(text: &[u8], start: usize) -> Option<usize> {
    let mut end = start;
    loop {
        let from = end + usize::from(end > start && text.get(end) == Some(&b' '));
        let letter = character_at(text, from);
        if !letter.is(Class::LETTER) {
            return some_if_moved(start, end);
        }
        end = skip_while(text, from + letter.length, |character| character.is(Class::MARK));
    }
}

fn is_capital(character: Character, class: Class) -> bool {
    character.is(class) && !(u32::from(b'a')..=u32::from(b'z')).contains(&character.code)
}

fn is_small(character: Character, class: Class) -> bool {
    character.is(class) && !(u32::from(b'A')..=u32::from(b'Z')).contains(&character.code)
}

/// Capitals, then at least one small letter; a character that is both may be given back to be the small one.
fn capitals_then_small(text: &[u8], start: usize, class: Class) -> Option<usize> {
    let mut at = start;
    let mut after_last_small = None;
    loop {
        let character = character_at(text, at);
        if !is_capital(character, class) {
            break;
        }
        at += character.length;
        if is_small(character, class) {
            after_last_small = Some(at);
        }
    }
    some_if_moved(at, skip_while(text, at, |character| is_small(character, class))).or(after_last_small)
}

/// At least one capital, then small letters.
fn capitals(text: &[u8], start: usize, class: Class) -> Option<usize> {
    let end = skip_while(text, start, |character| is_capital(character, class));
    some_if_moved(start, end).map(|end| skip_while(text, end, |character| is_small(character, class)))
}
