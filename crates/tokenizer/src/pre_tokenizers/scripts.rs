//! Sets of characters that single pre-tokenizers name by code points: scripts, full-width forms, ASCII punctuation.
//!
//! Source: the patterns in the `tokenizer.json` of the models. White space beyond ASCII never belongs to such a set, even
//! where a range encloses it: llama.cpp replaces it before matching.

use super::stage::{skip_while, some_if_moved};
use crate::unicode::{Character, Class, character_at};

type Ranges = &'static [(u32, u32)];

fn within(character: Character, ranges: Ranges) -> bool {
    let after = ranges.partition_point(|range| range.0 <= character.code);
    let enclosed = after > 0 && character.code <= ranges[after - 1].1;
    enclosed && (character.code < 0x80 || !character.is(Class::WHITESPACE))
}

/// DeepSeek LLM's letters with case: Latin, Greek, Cyrillic and others.
const CASED_LETTERS: Ranges = &[
    (0x41, 0x5A),
    (0x61, 0x7A),
    (0xB5, 0xB5),
    (0xC0, 0xD6),
    (0xD8, 0xF6),
    (0xF8, 0x1BA),
    (0x1BC, 0x1BF),
    (0x1C4, 0x293),
    (0x295, 0x2AF),
    (0x370, 0x373),
    (0x376, 0x377),
    (0x37B, 0x37D),
    (0x37F, 0x37F),
    (0x386, 0x386),
    (0x388, 0x38A),
    (0x38C, 0x38C),
    (0x38E, 0x3A1),
    (0x3A3, 0x3F5),
    (0x3F7, 0x481),
    (0x48A, 0x52F),
    (0x531, 0x556),
    (0x10A0, 0x10C5),
    (0x13A0, 0x13F5),
    (0x13F8, 0x13FD),
    (0x1C90, 0x1CBA),
    (0x1CBD, 0x1CBF),
    (0x1D00, 0x1D2B),
    (0x1D6B, 0x1D77),
    (0x1D79, 0x1D9A),
    (0x1E00, 0x1F15),
    (0x1F18, 0x1F1D),
    (0x1F20, 0x1F45),
    (0x1F48, 0x1F4D),
    (0x1F50, 0x1F57),
    (0x1F59, 0x1F59),
    (0x1F5B, 0x1F5B),
    (0x1F5D, 0x1F5D),
    (0x1F5F, 0x1F7D),
    (0x1F80, 0x1FB4),
    (0x1FB6, 0x1FBC),
    (0x1FBE, 0x1FBE),
    (0x1FC2, 0x1FC4),
    (0x1FC6, 0x1FCC),
    (0x1FD0, 0x1FD3),
    (0x1FD6, 0x1FDB),
    (0x1FE0, 0x1FEC),
    (0x1FF2, 0x1FF4),
    (0x1FF6, 0x1FFC),
    (0x2102, 0x2102),
    (0x2107, 0x2107),
    (0x210A, 0x2113),
    (0x2115, 0x2115),
    (0x2119, 0x211D),
    (0x2124, 0x2124),
    (0x2126, 0x2126),
    (0x2128, 0x2128),
    (0x212A, 0x212D),
    (0x212F, 0x2134),
    (0x2139, 0x2139),
    (0x213C, 0x213F),
    (0x2145, 0x2149),
    (0x214E, 0x214E),
    (0x2183, 0x2184),
    (0x2C00, 0x2C7B),
    (0x2C7E, 0x2CE4),
    (0x2CEB, 0x2CEE),
    (0x2CF2, 0x2CF3),
    (0xA640, 0xA66D),
    (0xA680, 0xA69B),
    (0xA722, 0xA76F),
    (0xA771, 0xA787),
    (0xA78B, 0xA78E),
    (0xAB70, 0xABBF),
    (0xFB00, 0xFB06),
    (0xFB13, 0xFB17),
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
    (0x10400, 0x1044F),
    (0x104B0, 0x104D3),
    (0x104D8, 0x104FB),
    (0x10C80, 0x10CB2),
    (0x10CC0, 0x10CF2),
    (0x118A0, 0x118DF),
    (0x1E900, 0x1E943),
];

/// DeepSeek LLM's punctuation, ASCII and full-width.
const WIDE_PUNCTUATION: Ranges =
    &[(0x21, 0x2F), (0x3A, 0x7E), (0x2018, 0x201F), (0x3000, 0x3002), (0xFF01, 0xFF0F), (0xFF1A, 0xFF5E)];

/// `\s?` and a run.
fn after_optional_space(text: &[u8], at: usize, holds: impl Fn(Character) -> bool) -> Option<usize> {
    let first = character_at(text, at);
    let start = if first.is(Class::WHITESPACE) { at + first.length } else { at };
    some_if_moved(start, skip_while(text, start, holds))
}

pub(super) fn cased_letters(text: &[u8], at: usize) -> Option<usize> {
    after_optional_space(text, at, |character| within(character, CASED_LETTERS))
}

pub(super) fn wide_punctuation(text: &[u8], at: usize) -> Option<usize> {
    after_optional_space(text, at, |character| within(character, WIDE_PUNCTUATION))
}

pub(super) fn letters(text: &[u8], at: usize) -> Option<usize> {
    after_optional_space(text, at, |character| character.is(Class::LETTER))
}

pub(super) fn punctuation(text: &[u8], at: usize) -> Option<usize> {
    after_optional_space(text, at, |character| character.is(Class::PUNCTUATION))
}

pub(super) fn newline(character: Character) -> bool {
    character.code == u32::from(b'\r') || character.code == u32::from(b'\n')
}

pub(super) fn number(character: Character) -> bool {
    character.is(Class::NUMBER)
}

pub(super) fn not_whitespace(character: Character) -> bool {
    !character.is(Class::WHITESPACE)
}

/// DeepSeek LLM and Coder: from the Indic scripts to the unified ideographs, and Hangul.
pub(super) fn eastern(character: Character) -> bool {
    within(character, &[(0x800, 0x9FA5), (0xAC00, 0xD7FF)])
}

/// DeepSeek 3: ideographs, Hiragana, Katakana.
pub(super) fn chinese_japanese(character: Character) -> bool {
    within(character, &[(0x3040, 0x30FF), (0x4E00, 0x9FA5)])
}

/// AFMoE: Chinese, Japanese, Korean, and the scripts of South-East Asia.
pub(super) fn asian(character: Character) -> bool {
    // The last but one range is two of the pattern's: its "豈" is U+8C48, not the compatibility ideograph U+F900.
    within(
        character,
        &[
            (0xE40, 0xE7F),
            (0xE80, 0xEFF),
            (0x1000, 0x109F),
            (0x1100, 0x11FF),
            (0x1780, 0x17FF),
            (0x2F00, 0x2FDF),
            (0x3040, 0x30FF),
            (0x3400, 0x4DBF),
            (0x4E00, 0xFAFF),
            (0xFF65, 0xFF9F),
        ],
    )
}

/// Youtu: runs of Korean, of Chinese punctuation, of Bopomofo, or of Chinese and Japanese.
pub(super) fn youtu_scripts(text: &[u8], at: usize) -> Option<usize> {
    const SETS: [Ranges; 4] = [
        &[(0x3131, 0x318E), (0xAC00, 0xD7A3)],
        &[
            (0x2014, 0x2014),
            (0x2018, 0x2019),
            (0x201C, 0x201D),
            (0x2026, 0x2026),
            (0x3001, 0x303F),
            (0xFE30, 0xFE4F),
            (0xFF01, 0xFF01),
            (0xFF0C, 0xFF0C),
            (0xFF1A, 0xFF1B),
        ],
        &[(0x3105, 0x312F)],
        &[(0x3040, 0x30FF), (0x4E00, 0x9FA5)],
    ];
    SETS.iter().find_map(|set| some_if_moved(at, skip_while(text, at, |character| within(character, set))))
}

/// Falcon: punctuation and the symbols of ASCII.
pub(super) fn falcon_symbol(character: Character) -> bool {
    character.code == u32::from(b'`') || default_symbol(character)
}

/// The pattern for files that name no pre-tokenizer: punctuation and the symbols of ASCII without the grave accent.
pub(super) fn default_symbol(character: Character) -> bool {
    character.is(Class::PUNCTUATION)
        || matches!(u8::try_from(character.code), Ok(b'$' | b'+' | b'<'..=b'>' | b'^' | b'~' | b'|'))
}

/// Three ASCII digits.
pub(super) fn three_digits(text: &[u8], at: usize) -> Option<usize> {
    text.get(at..at + 3)?.iter().all(u8::is_ascii_digit).then_some(at + 3)
}

/// ` ?[^(\s|.,!?…。，、।۔،)]+`: words as BLOOM sees them.
pub(super) fn bloom_word(text: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(text[at] == b' ');
    let stop = |character: Character| {
        character.is(Class::WHITESPACE)
            || matches!(
                char::from_u32(character.code),
                Some('(' | '|' | '.' | ',' | '!' | '?' | '…' | '。' | '，' | '、' | '।' | '۔' | '،' | ')')
            )
    };
    some_if_moved(start, skip_while(text, start, |character| !stop(character)))
}

/// Chameleon's `<sentinel:[0-9]+>`.
pub(super) fn sentinel(text: &[u8], at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix(b"<sentinel:")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0 && rest.get(digits) == Some(&b'>')).then_some(at + b"<sentinel:".len() + digits + 1)
}

/// Chameleon's `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`.
pub(super) fn image_token(text: &[u8], at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix(b"IMGIMG")?;
    let letters = rest.iter().take(4).take_while(|byte| (b'A'..=b'I').contains(*byte)).count();
    (letters > 0 && rest.get(letters) == Some(&b'Z')).then_some(at + b"IMGIMG".len() + letters + 1)
}

/// Chameleon's `([\t\n]|    |  )`.
pub(super) fn chameleon_space(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..];
    match rest {
        [b'\t' | b'\n', ..] => Some(at + 1),
        [b' ', b' ', b' ', b' ', ..] => Some(at + 4),
        [b' ', b' ', ..] => Some(at + 2),
        _ => None,
    }
}

/// Chameleon's `[\p{P}!-/:-@\[-`{-~]`.
pub(super) fn any_punctuation(character: Character) -> bool {
    character.is(Class::PUNCTUATION) || u8::try_from(character.code).is_ok_and(|byte| byte.is_ascii_punctuation())
}
