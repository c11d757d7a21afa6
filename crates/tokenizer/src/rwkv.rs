//! RWKV's tokenizer: always the longest token that the rest of the text starts with.
//!
//! Tokens are bytes, written in the file with the escapes `\t \n \r \xNN`. Source: RWKV's `TRIE_TOKENIZER`, in the form
//! of llama.cpp.

use crate::trie::Trie;
use crate::vocabulary::Vocabulary;

/// Appends the tokens of a text.
pub(crate) fn encode(trie: &Trie, vocabulary: &Vocabulary, mut text: &[u8], out: &mut Vec<u32>) {
    while !text.is_empty() {
        let length = match trie.prefixes(text).last() {
            Some((token, length)) => {
                out.push(token);
                length
            }
            None => {
                out.extend(vocabulary.special.unknown);
                1
            }
        };
        text = &text[length..];
    }
}

/// All tokens, without their escapes.
pub(crate) fn trie(vocabulary: &Vocabulary) -> Trie {
    let texts: Vec<Vec<u8>> = vocabulary.ids().map(|id| unescape(vocabulary.texts.text(id))).collect();
    Trie::new(texts.iter().zip(0..).map(|(text, id)| (text.as_slice(), id)).collect())
}

/// The bytes of a token.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let Some((escaped, behind)) = rest.split_first() else { break };
        rest = behind;
        match escaped {
            b't' => bytes.push(b'\t'),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b'x' => {
                let digits = &rest[..rest.len().min(2)];
                let number = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.extend(number);
                rest = &rest[digits.len()..];
            }
            other => bytes.push(*other),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes() {
        let cases: &[(&str, &[u8])] = &[
            ("plain", b"plain"),
            (r"\n\t\r", b"\n\t\r"),
            (r"\xe4\xb8\xad", b"\xe4\xb8\xad"),
            (r"\\x", b"\\x"),
            (r"\'", b"'"),
            (r"end\", b"end"),
            (r"\x4", b"\x04"),
        ];
        for (text, bytes) in cases {
            assert_eq!(super::unescape(text.as_bytes()), *bytes, "{text}");
        }
    }
}
