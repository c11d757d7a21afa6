//! What the tokenizers need of Unicode: categories, lower case, base letters and lenient UTF-8.
//!
//! All other modules read text as bytes through [`character_at`]. Invariant: after [`repair`] every byte belongs to a
//! character that [`character_at`] decodes, so no caller meets an error in the middle of a word.
//! Lenient means what llama.cpp accepts: surrogates and overlong forms pass, any other wrong byte is U+FFFD.

mod categories;
mod decomposition;
mod lowercase;

use std::borrow::Cow;
use std::sync::LazyLock;

/// A set of general categories, one bit each; several may be asked for at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class(u8);

impl Class {
    pub(crate) const NONE: Class = Class(0);
    pub(crate) const WHITESPACE: Class = Class(0x01);
    pub(crate) const NUMBER: Class = Class(0x02);
    pub(crate) const LETTER: Class = Class(0x04);
    pub(crate) const MARK: Class = Class(0x10);
    pub(crate) const PUNCTUATION: Class = Class(0x20);
    pub(crate) const SYMBOL: Class = Class(0x40);
    pub(crate) const CONTROL: Class = Class(0x80);

    /// The union of two sets.
    pub(crate) const fn or(self, other: Class) -> Class {
        Class(self.0 | other.0)
    }

    /// Whether the two sets share a category.
    pub(crate) const fn is(self, any_of: Class) -> bool {
        self.0 & any_of.0 != 0
    }
}

const CODE_POINTS: usize = 0x11_0000;

/// One byte per code point: 1.1 MB, filled once from the ranges, so that a lookup is one load.
static CLASSES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut classes = vec![0; CODE_POINTS];
    for (index, entry) in categories::RANGES.iter().enumerate() {
        let first = (entry >> 8) as usize;
        let end = categories::RANGES.get(index + 1).map_or(CODE_POINTS, |next| (next >> 8) as usize);
        classes[first..end].fill((entry & 0xff) as u8);
    }
    classes
});

/// The category of a code point; nothing for numbers that are no code point.
pub(crate) fn class_of(code: u32) -> Class {
    Class(CLASSES.get(code as usize).copied().unwrap_or(0))
}

/// Simple lower case of one code point.
pub(crate) fn lowercase(code: u32) -> u32 {
    let wanted = code as i32;
    let after = lowercase::RUNS.partition_point(|run| run[0] <= wanted);
    // A run with step 2 may enclose the start of the next one, so two candidates are looked at.
    for run in lowercase::RUNS[after.saturating_sub(2)..after].iter().rev() {
        let [first, last, step, difference] = *run;
        if (first..=last).contains(&wanted) && (wanted - first) % step == 0 {
            return (wanted + difference) as u32;
        }
    }
    code
}

/// The first code point of the canonical decomposition: the letter without its accents.
pub(crate) fn base_letter(code: u32) -> u32 {
    let after = decomposition::TRIPLES.partition_point(|triple| triple[0] <= code);
    match after.checked_sub(1).map(|index| decomposition::TRIPLES[index]) {
        Some([_, last, base]) if code <= last => base,
        _ => code,
    }
}

/// The length that a first byte announces; 1 for continuation bytes.
pub(crate) const fn announced_length(first: u8) -> usize {
    match first >> 4 {
        0x0..=0xb => 1,
        0xc | 0xd => 2,
        0xe => 3,
        _ => 4,
    }
}

/// Decodes the character at `at`: its code point and its length in bytes. `None` past the end or at a wrong byte.
pub(crate) fn decode(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let first = *bytes.get(at)?;
    let continuation = |offset: usize| match bytes.get(at + offset) {
        Some(byte) if byte & 0xc0 == 0x80 => Some(u32::from(byte & 0x3f)),
        _ => None,
    };
    let first_bits = |mask: u8| u32::from(first & mask);
    match first {
        0x00..=0x7f => Some((u32::from(first), 1)),
        0x80..=0xbf => None,
        0xc0..=0xdf => Some((first_bits(0x1f) << 6 | continuation(1)?, 2)),
        0xe0..=0xef => Some((first_bits(0x0f) << 12 | continuation(1)? << 6 | continuation(2)?, 3)),
        0xf0..=0xf7 => {
            let code = first_bits(0x07) << 18 | continuation(1)? << 12 | continuation(2)? << 6 | continuation(3)?;
            (code < CODE_POINTS as u32).then_some((code, 4))
        }
        0xf8..=0xff => None,
    }
}

/// Appends the UTF-8 form of a code point; surrogates get their three bytes.
pub(crate) fn encode(code: u32, out: &mut Vec<u8>) {
    let tail = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
    match code {
        0..=0x7f => out.push(code as u8),
        0x80..=0x7ff => out.extend([0xc0 | (code >> 6) as u8, tail(0)]),
        0x800..=0xffff => out.extend([0xe0 | (code >> 12) as u8, tail(6), tail(0)]),
        _ => out.extend([0xf0 | (code >> 18 & 0x07) as u8, tail(12), tail(6), tail(0)]),
    }
}

/// Puts U+FFFD in place of every wrong byte and the shortest form in place of overlong ones; valid text is borrowed.
pub(crate) fn repair(bytes: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let mut repaired = Vec::with_capacity(bytes.len() + 16);
    let mut at = 0;
    while at < bytes.len() {
        let (code, length) = decode(bytes, at).unwrap_or((0xfffd, 1));
        encode(code, &mut repaired);
        at += length;
    }
    Cow::Owned(repaired)
}

/// One character of a text as the splitters see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Character {
    /// Code point; [`Character::END`] has one that no text holds.
    pub(crate) code: u32,
    /// Its category; the end has none.
    pub(crate) class: Class,
    /// Bytes; 0 at the end.
    pub(crate) length: usize,
}

impl Character {
    const END: Character = Character { code: u32::MAX, class: Class::NONE, length: 0 };

    /// Whether this stands for the end of the text.
    pub(crate) fn is_end(self) -> bool {
        self.length == 0
    }

    /// Whether it belongs to one of the categories.
    pub(crate) fn is(self, any_of: Class) -> bool {
        self.class.is(any_of)
    }
}

/// The character at a byte position, or [`Character::END`].
pub(crate) fn character_at(bytes: &[u8], at: usize) -> Character {
    if at >= bytes.len() {
        return Character::END;
    }
    let (code, length) = decode(bytes, at).unwrap_or((0xfffd, 1));
    Character { code, class: class_of(code), length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_of_known_code_points() {
        let cases = [
            ('a', Class::LETTER),
            ('中', Class::LETTER),
            ('7', Class::NUMBER),
            ('½', Class::NUMBER),
            (' ', Class::WHITESPACE),
            ('\u{3000}', Class::WHITESPACE),
            ('\u{301}', Class::MARK),
            ('!', Class::PUNCTUATION),
            ('€', Class::SYMBOL),
            ('\u{7}', Class::CONTROL),
        ];
        for (character, class) in cases {
            assert!(class_of(u32::from(character)).is(class), "{character:?} is not {class:?}");
        }
        assert_eq!(class_of(u32::MAX), Class::NONE);
    }

    #[test]
    fn lower_case_and_base_letters() {
        for (from, to) in
            [('A', 'a'), ('Ā', 'ā'), ('Σ', 'σ'), ('Ÿ', 'ÿ'), ('Ж', 'ж'), ('Ⴀ', 'ⴀ'), ('中', '中'), ('!', '!')]
        {
            assert_eq!(char::from_u32(lowercase(u32::from(from))), Some(to), "lower case of {from}");
        }
        for (from, to) in [('é', 'e'), ('Å', 'A'), ('ç', 'c'), ('가', 'ᄀ'), ('x', 'x'), ('\0', '\0')] {
            assert_eq!(char::from_u32(base_letter(u32::from(from))), Some(to), "base of {from}");
        }
    }

    #[test]
    fn lower_case_agrees_with_the_standard_library_where_both_know_one_letter() {
        let mut different = Vec::new();
        for code in 0..CODE_POINTS as u32 {
            let Some(character) = char::from_u32(code) else { continue };
            let mut lower = character.to_lowercase();
            if let (Some(one), None) = (lower.next(), lower.next())
                && lowercase(code) != code
                && lowercase(code) != u32::from(one)
            {
                different.push(character);
            }
        }
        assert!(different.is_empty(), "{different:?}");
    }

    #[test]
    fn wrong_bytes_become_replacement_characters() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"ok", b"ok"),
            (b"\xff", b"\xef\xbf\xbd"),
            (b"a\xe4\xb8z", b"a\xef\xbf\xbd\xef\xbf\xbdz"),
            (b"\xed\xa0\x80", b"\xed\xa0\x80"),
            (b"\xc0\x80", b"\0"),
            (b"\xf4\x90\x80\x80", b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(repair(bytes).as_ref(), *expected, "{bytes:x?}");
        }
    }
}
