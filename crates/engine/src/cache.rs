//! The paged cache: a pool of fixed blocks with reference counts, and the block list of each sequence.
//!
//! Fork, roll back and shared prefixes are edits of block lists. Invariant: a block that two sequences share is never
//! written; a sequence that is about to write into one gets a copy first.

use crate::error::EngineError;

/// A sequence in an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(u32);

impl SequenceId {
    /// Slot of the sequence's recurrent state.
    pub(crate) fn slot(self) -> u32 {
        self.0
    }
}

/// A block to be copied before the next step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCopy {
    /// Shared block.
    pub from: u32,
    /// Its private copy.
    pub to: u32,
}

#[derive(Clone, Debug, Default)]
struct Sequence {
    blocks: Vec<u32>,
    tokens: Vec<u32>,
}

/// Blocks and sequences.
#[derive(Debug)]
pub struct Cache {
    block_tokens: usize,
    references: Vec<u32>,
    free: Vec<u32>,
    sequences: Vec<Option<Sequence>>,
    context: usize,
}

impl Cache {
    /// `blocks` blocks of `block_tokens` tokens; sequences of up to `context` tokens, at most `sequences` of them.
    pub fn new(blocks: usize, block_tokens: usize, context: usize, sequences: usize) -> Cache {
        Cache {
            block_tokens,
            references: vec![0; blocks],
            free: (0..blocks as u32).rev().collect(),
            sequences: vec![None; sequences],
            context,
        }
    }

    /// An empty sequence.
    ///
    /// # Errors
    /// All slots are taken.
    pub fn create(&mut self) -> Result<SequenceId, EngineError> {
        let slot = self.sequences.iter().position(Option::is_none);
        let slot = slot.ok_or(EngineError::TooManySequences { limit: self.sequences.len() })?;
        self.sequences[slot] = Some(Sequence::default());
        Ok(SequenceId(slot as u32))
    }

    /// A new sequence with the same history; its blocks are shared.
    ///
    /// # Errors
    /// All slots are taken, or the sequence does not exist.
    pub fn fork(&mut self, from: SequenceId) -> Result<SequenceId, EngineError> {
        let copy = self.sequence(from)?.clone();
        let id = self.create()?;
        for &block in &copy.blocks {
            self.references[block as usize] += 1;
        }
        self.sequences[id.0 as usize] = Some(copy);
        Ok(id)
    }

    /// Ends a sequence and gives its blocks back.
    pub fn release(&mut self, id: SequenceId) {
        if let Some(sequence) = self.sequences.get_mut(id.0 as usize).and_then(Option::take) {
            for block in sequence.blocks {
                self.drop_reference(block);
            }
        }
    }

    /// Forgets everything from position `length` on.
    ///
    /// # Errors
    /// The sequence does not exist.
    pub fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError> {
        let keep = length.div_ceil(self.block_tokens);
        let sequence = self.sequence_mut(id)?;
        sequence.tokens.truncate(length);
        let dropped = sequence.blocks.split_off(keep.min(sequence.blocks.len()));
        for block in dropped {
            self.drop_reference(block);
        }
        Ok(())
    }

    /// Appends tokens, taking blocks as needed; the copies must be carried out before the tokens are written.
    ///
    /// # Errors
    /// The context or the pool is full; nothing has changed then.
    pub fn append(&mut self, id: SequenceId, tokens: &[u32]) -> Result<Vec<BlockCopy>, EngineError> {
        let sequence = self.sequence(id)?;
        let (start, end) = (sequence.tokens.len(), sequence.tokens.len() + tokens.len());
        if end > self.context {
            return Err(EngineError::ContextFull { used: start, adding: tokens.len(), limit: self.context });
        }
        let have = sequence.blocks.len();
        let need = end.div_ceil(self.block_tokens);
        let first_written = start / self.block_tokens;
        let shared = (first_written < have && !tokens.is_empty())
            .then(|| sequence.blocks[first_written])
            .filter(|&block| self.references[block as usize] > 1);
        let wanted = need.saturating_sub(have) + usize::from(shared.is_some());
        if wanted > self.free.len() {
            return Err(EngineError::CacheFull { wanted, free: self.free.len(), limit: self.references.len() });
        }
        let mut copies = Vec::new();
        if let Some(from) = shared {
            let to = self.take_block();
            self.drop_reference(from);
            self.sequence_mut(id)?.blocks[first_written] = to;
            // Nothing to keep when the block is written from its first row on.
            if start % self.block_tokens != 0 {
                copies.push(BlockCopy { from, to });
            }
        }
        let fresh: Vec<u32> = (have..need).map(|_| self.take_block()).collect();
        let sequence = self.sequence_mut(id)?;
        sequence.blocks.extend(fresh);
        sequence.tokens.extend_from_slice(tokens);
        Ok(copies)
    }

    /// Tokens of a sequence.
    ///
    /// # Errors
    /// The sequence does not exist.
    pub fn tokens(&self, id: SequenceId) -> Result<&[u32], EngineError> {
        Ok(&self.sequence(id)?.tokens)
    }

    /// Blocks of a sequence.
    ///
    /// # Errors
    /// The sequence does not exist.
    pub fn blocks(&self, id: SequenceId) -> Result<&[u32], EngineError> {
        Ok(&self.sequence(id)?.blocks)
    }

    /// Tokens a sequence may hold.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Blocks not in use.
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    fn sequence(&self, id: SequenceId) -> Result<&Sequence, EngineError> {
        self.sequences.get(id.0 as usize).and_then(Option::as_ref).ok_or(EngineError::UnknownSequence { id: id.0 })
    }

    fn sequence_mut(&mut self, id: SequenceId) -> Result<&mut Sequence, EngineError> {
        self.sequences.get_mut(id.0 as usize).and_then(Option::as_mut).ok_or(EngineError::UnknownSequence { id: id.0 })
    }

    fn take_block(&mut self) -> u32 {
        let block = self.free.pop().expect("callers count the free blocks first");
        self.references[block as usize] = 1;
        block
    }

    fn drop_reference(&mut self, block: u32) {
        let count = &mut self.references[block as usize];
        *count -= 1;
        if *count == 0 {
            self.free.push(block);
        }
    }
}
