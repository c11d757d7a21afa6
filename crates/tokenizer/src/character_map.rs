//! SentencePiece's table of character replacements (`precompiled_charsmap`): normalisation as data in the file.
//!
//! A double array whose cells pack base, check byte and leaf bit; a leaf leads to the offset of a replacement that ends
//! with a zero byte. The format is that of the Darts library: base in bits 10 to 30 (shifted by 8 more when bit 9 is set),
//! check in bits 0 to 7, bit 8 says that a value hangs below, and a cell with bit 31 is a value.
//! Invariant: no byte of the file is trusted; a damaged table is an error at load or is left unused at a walk.

use crate::TokenizerError;

/// The table.
#[derive(Debug)]
pub(crate) struct CharacterMap {
    cells: Vec<u32>,
    replacements: Vec<u8>,
}

/// A replacement found in the table.
pub(crate) struct Replacement<'a> {
    pub(crate) text: &'a [u8],
    /// How many bytes of the input it stands for.
    pub(crate) length: usize,
}

impl CharacterMap {
    /// The length of the cells in bytes, the cells, and the replacements.
    pub(crate) fn new(bytes: &[u8]) -> Result<CharacterMap, TokenizerError> {
        let damaged = |problem: String| TokenizerError::CharacterMap { problem };
        let (header, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| damaged(format!("it has {} bytes, fewer than its header", bytes.len())))?;
        let cell_bytes = u32::from_le_bytes(*header) as usize;
        let (cells, replacements) = rest
            .split_at_checked(cell_bytes)
            .filter(|(_, replacements)| !replacements.is_empty())
            .ok_or_else(|| damaged(format!("its cells take {cell_bytes} bytes, but {} are left", rest.len())))?;
        if replacements.last() != Some(&0) {
            return Err(damaged("its last replacement has no end".to_owned()));
        }
        let cells = cells.as_chunks::<4>().0.iter().map(|cell| u32::from_le_bytes(*cell)).collect();
        Ok(CharacterMap { cells, replacements: replacements.to_vec() })
    }

    /// The replacement for the longest start of `text` that the table knows.
    pub(crate) fn longest(&self, text: &[u8]) -> Option<Replacement<'_>> {
        let mut node = base(*self.cells.first()?);
        let mut found = None;
        for (index, byte) in text.iter().enumerate() {
            node ^= u32::from(*byte);
            let Some(cell) = self.cells.get(node as usize).copied() else { break };
            if *byte == 0 || cell & 0x8000_00ff != u32::from(*byte) {
                break;
            }
            node ^= base(cell);
            if cell >> 8 & 1 == 1 {
                let Some(value) = self.cells.get(node as usize) else { break };
                found = Some((value & 0x7fff_ffff, index + 1));
            }
        }
        let (offset, length) = found?;
        let text = self.replacements.get(offset as usize..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        Some(Replacement { text: &text[..end], length })
    }
}

fn base(cell: u32) -> u32 {
    (cell >> 10) << ((cell & 1 << 9) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one entry: `from` becomes `to`.
    fn table(from: u8, to: &[u8]) -> Vec<u8> {
        // The root's base is 256; the child's base leads to cell 512, which holds the offset.
        let child = 256 ^ u32::from(from);
        let mut cells = vec![0_u32; 513];
        cells[0] = 256 << 10;
        cells[child as usize] = (child ^ 512) << 10 | 1 << 8 | u32::from(from);
        cells[512] = 1 << 31;
        let mut bytes = (cells.len() as u32 * 4).to_le_bytes().to_vec();
        bytes.extend(cells.iter().flat_map(|cell| cell.to_le_bytes()));
        bytes.extend(to);
        bytes.push(0);
        bytes
    }

    #[test]
    fn finds_a_replacement() {
        let map = CharacterMap::new(&table(b'A', b"xyz")).expect("sound");
        let found = map.longest(b"Abc").map(|found| (found.text.to_vec(), found.length));
        assert_eq!(found, Some((b"xyz".to_vec(), 1)));
        for text in [&b"b"[..], b"", b"\0", b"\xff"] {
            assert!(map.longest(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn damaged_tables_are_refused_or_unused() {
        let sound = table(b'A', b"xyz");
        for length in 0..sound.len() {
            if let Ok(map) = CharacterMap::new(&sound[..length]) {
                let _ = map.longest(b"A");
                panic!("a table cut to {length} bytes was taken");
            }
        }
        for index in 4..sound.len() - 1 {
            for value in [0, 0x7f, 0xff] {
                let mut bent = sound.clone();
                bent[index] = value;
                let map = CharacterMap::new(&bent).expect("the frame is sound");
                let length = map.longest(b"AAAA").map_or(0, |found| found.length);
                assert!(length <= 4);
            }
        }
    }
}
