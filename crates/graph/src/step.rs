//! The data of one step: a flat batch of tokens of any number of sequences.
//!
//! Made by the engine, read by every program. History enters only here: as the block lists of the sequences.

use std::ops::Range;

/// Consecutive tokens of one sequence inside the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Rows of the batch.
    pub tokens: Range<usize>,
    /// Position of the first of them in its sequence; the others follow one by one.
    pub first_position: usize,
    /// Blocks of the paged cache: position `p` lives in `blocks[p / block_tokens]` at row `p % block_tokens`.
    pub blocks: &'a [u32],
    /// Slot of the sequence's recurrent state (for operations with a state of fixed size).
    pub slot: u32,
}

impl Run<'_> {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the run holds no token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// Everything a program needs to run one step.
#[derive(Clone, Debug)]
pub struct StepInputs<'a> {
    /// Token ids, `[tokens]`.
    pub tokens: &'a [u32],
    /// Position of each token in its sequence, `[tokens]`.
    pub positions: &'a [u32],
    /// The runs that make up the batch, in order, covering all rows.
    pub runs: &'a [Run<'a>],
    /// Rows whose logits are wanted, ascending.
    pub outputs: &'a [u32],
}
