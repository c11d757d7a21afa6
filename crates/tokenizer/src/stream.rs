//! Text from tokens as they come, never half a character.
//!
//! Used by whatever shows an answer while it is written. Invariant: what [`StreamDecoder::push`] and
//! [`StreamDecoder::finish`] return, joined, is the lossy UTF-8 of all bytes put in; an unfinished character is held back
//! until its last byte or a byte that cannot follow.

use crate::{SpecialRendering, Tokenizer};

/// Bytes waiting for the rest of their character.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    pending: Vec<u8>,
    ready: String,
    special: SpecialRendering,
}

impl StreamDecoder {
    /// Shows or hides control tokens, as told.
    pub fn new(special: SpecialRendering) -> StreamDecoder {
        StreamDecoder { special, ..StreamDecoder::default() }
    }

    /// The complete characters that this token brings.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> &str {
        self.push_bytes(tokenizer.token_bytes_as(token, self.special))
    }

    /// The complete characters that these bytes bring.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> &str {
        self.ready.clear();
        self.pending.extend_from_slice(bytes);
        let mut taken = 0;
        loop {
            match std::str::from_utf8(&self.pending[taken..]) {
                Ok(rest) => {
                    self.ready.push_str(rest);
                    taken = self.pending.len();
                    break;
                }
                Err(error) => {
                    let valid = taken + error.valid_up_to();
                    self.ready.push_str(&String::from_utf8_lossy(&self.pending[taken..valid]));
                    taken = valid;
                    let Some(wrong) = error.error_len() else { break };
                    self.ready.push(char::REPLACEMENT_CHARACTER);
                    taken += wrong;
                }
            }
        }
        self.pending.drain(..taken);
        &self.ready
    }

    /// Whether a character is held back.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What is left at the end: nothing, or a replacement character for the unfinished one.
    pub fn finish(&mut self) -> &str {
        self.ready.clear();
        if !self.pending.is_empty() {
            self.pending.clear();
            self.ready.push(char::REPLACEMENT_CHARACTER);
        }
        &self.ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_whole_wherever_the_bytes_are_split() {
        let text = "a中文é👩‍💻\u{10ffff}z".as_bytes();
        for size in 1..=text.len() {
            let mut decoder = StreamDecoder::default();
            let mut shown = String::new();
            for part in text.chunks(size) {
                let new = decoder.push_bytes(part);
                assert!(!new.contains(char::REPLACEMENT_CHARACTER), "half a character with parts of {size}");
                shown.push_str(new);
            }
            assert!(!decoder.is_waiting());
            shown.push_str(decoder.finish());
            assert_eq!(shown.as_bytes(), text);
        }
    }

    #[test]
    fn joined_parts_are_the_lossy_text() {
        let broken: &[&[u8]] = &[b"\xe4\xb8", b"a\xff\xfeb", b"\xf0\x9f\x98", b"\xe4\xb8\xe4\xb8\xad", b"\x80", b""];
        for bytes in broken {
            for size in 1..=bytes.len().max(1) {
                let mut decoder = StreamDecoder::default();
                let mut shown: String = bytes.chunks(size).map(|part| decoder.push_bytes(part).to_owned()).collect();
                shown.push_str(decoder.finish());
                assert_eq!(shown, String::from_utf8_lossy(bytes), "{bytes:x?} in parts of {size}");
            }
        }
    }
}
