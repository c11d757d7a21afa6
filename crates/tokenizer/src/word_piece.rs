//! WordPiece: words in lower case without accents, each cut into the longest tokens from the left.
//!
//! Tokens that start a word are written with U+2581 in front. A word that cannot be spelled is the unknown token.
//! Source: BERT's `BasicTokenizer` and `WordpieceTokenizer`, in the form of llama.cpp.

use crate::unicode::{Class, base_letter, character_at, encode, lowercase};
use crate::vocabulary::Vocabulary;

/// U+2581, which stands for the space before a word.
const PHANTOM_SPACE: &[u8] = "\u{2581}".as_bytes();

/// Appends the tokens of a text that is valid (lenient) UTF-8.
pub(crate) fn encode_text(vocabulary: &Vocabulary, text: &[u8], out: &mut Vec<u32>) {
    let mut word = PHANTOM_SPACE.to_vec();
    let finish = |word: &mut Vec<u8>, out: &mut Vec<u32>| {
        if word.len() > PHANTOM_SPACE.len() {
            spell(vocabulary, word, out);
            word.truncate(PHANTOM_SPACE.len());
        }
    };
    let mut at = 0;
    while at < text.len() {
        let character = character_at(text, at);
        at += character.length;
        let code = if vocabulary.strip_accents { base_letter(character.code) } else { character.code };
        let class = crate::unicode::class_of(code);
        if class.is(Class::WHITESPACE) {
            finish(&mut word, out);
            continue;
        }
        let dropped = code == 0 || code == 0xfffd || class.is(Class::CONTROL);
        if dropped || (vocabulary.strip_accents && class.is(Class::MARK)) {
            continue;
        }
        let shown = if vocabulary.lowercase { lowercase(code) } else { code };
        let alone = class.is(Class::PUNCTUATION) || (code < 0x7f && class.is(Class::SYMBOL)) || is_ideograph(code);
        if alone {
            finish(&mut word, out);
        }
        encode(shown, &mut word);
        if alone {
            finish(&mut word, out);
        }
    }
    finish(&mut word, out);
}

/// The longest tokens from the left, or the unknown token.
fn spell(vocabulary: &Vocabulary, word: &[u8], out: &mut Vec<u32>) {
    let before = out.len();
    let mut at = 0;
    while at < word.len() {
        let longest = (at + vocabulary.longest_token).min(word.len());
        let found = (at + 1..=longest).rev().find_map(|end| Some((end, vocabulary.texts.get(&word[at..end])?)));
        let Some((end, token)) = found else {
            out.truncate(before);
            break;
        };
        out.push(token);
        at = end;
    }
    if out.len() == before {
        out.extend(vocabulary.special.unknown);
    }
}

/// Characters that are words by themselves. The block at U+2B920 is as the field's tokenizers have it.
fn is_ideograph(code: u32) -> bool {
    matches!(
        code,
        0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x2_0000..=0x2_A6DF
            | 0x2_A700..=0x2_B81F
            | 0x2_B920..=0x2_CEAF
            | 0x2_F800..=0x2_FA1F
    )
}
