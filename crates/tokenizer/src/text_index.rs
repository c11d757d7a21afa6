//! Token texts in one arena with a hash index: text to id and id to text.
//!
//! One allocation for a quarter of a million texts instead of one each. Ids are given in the order of insertion.
//! Invariant: of equal texts the last one inserted answers [`TextIndex::get`], as in llama.cpp.

/// Marks a free slot.
const FREE: u32 = u32::MAX;

/// Texts numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct TextIndex {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Open addressing with linear probing; the length is a power of two, at most half full.
    slots: Vec<u32>,
    used: usize,
}

impl TextIndex {
    /// Adds a text and returns its id.
    pub(crate) fn push(&mut self, text: &[u8]) -> u32 {
        let id = self.push_hidden(text);
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.slot(text);
        self.used += usize::from(self.slots[slot] == FREE);
        self.slots[slot] = id;
        id
    }

    /// Adds a text that [`TextIndex::get`] does not find.
    pub(crate) fn push_hidden(&mut self, text: &[u8]) -> u32 {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        (self.ends.len() - 1) as u32
    }

    /// The id of a text, adding it if it is new.
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        self.get(text).unwrap_or_else(|| self.push(text))
    }

    /// The id of a text.
    pub(crate) fn get(&self, text: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let id = self.slots[self.slot(text)];
        (id != FREE).then_some(id)
    }

    /// The text of an id; empty for ids that were never given.
    pub(crate) fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        match self.ends.get(id) {
            Some(end) => &self.bytes[id.checked_sub(1).map_or(0, |before| self.ends[before])..*end],
            None => &[],
        }
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The slot that holds `text`, or the free one where it belongs.
    fn slot(&self, text: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash(text) as usize & mask;
        loop {
            let id = self.slots[slot];
            if id == FREE || self.text(id) == text {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![FREE; length]);
        for id in old.into_iter().filter(|id| *id != FREE) {
            let slot = self.slot(self.text(id));
            self.slots[slot] = id;
        }
    }
}

/// A multiply-and-fold hash over eight bytes at a time: short keys, no secrets.
pub(crate) fn hash(text: &[u8]) -> u64 {
    let mut state = text.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        state = mix(state, chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
    mix(state, chunks.remainder().iter().rev().fold(1, |word, byte| word << 8 | u64::from(*byte)))
}

/// Folds the two halves of a 64 × 64 bit product.
pub(crate) fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * 0xd6e8_feb8_6659_fd93_u128;
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_the_last_of_equals_wins() {
        let mut index = TextIndex::default();
        assert_eq!(index.get(b"a"), None);
        for number in 0..1000_u32 {
            assert_eq!(index.push(number.to_string().as_bytes()), number);
        }
        assert_eq!(index.push(b"7"), 1000);
        assert_eq!(index.push_hidden(b"hidden"), 1001);
        assert_eq!(index.get(b"7"), Some(1000));
        assert_eq!(index.get(b"999"), Some(999));
        assert_eq!(index.get(b"hidden"), None);
        assert_eq!(index.text(1001), b"hidden");
        assert_eq!(index.text(0), b"0");
        assert_eq!(index.text(5000), b"");
        assert_eq!(index.intern(b"8"), 8);
        assert_eq!(index.intern(b"new"), 1002);
        assert_eq!(index.len(), 1003);
    }
}
