//! The data of one step: a flat batch of tokens of any number of sequences.
//!
//! Made by the engine, read by every program. History enters only here: as the block lists of the sequences.

use std::ops::Range;

use crate::shape::RowUnit;

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

impl<'a> StepInputs<'a> {
    /// The token that a row belongs to, of a value with one row for each `unit`.
    pub fn token(&self, unit: RowUnit, row: usize) -> usize {
        match unit {
            RowUnit::Outputs => self.outputs[row] as usize,
            RowUnit::Tokens | RowUnit::Step => row,
        }
    }

    /// The wanted tokens as runs: their rows are those of values with one row for each output.
    pub fn output_runs(&self) -> Vec<Run<'a>> {
        let mut found: Vec<Run<'a>> = Vec::new();
        let mut rows = 0..0;
        for run in self.runs {
            rows = rows.end..self.outputs.partition_point(|&token| (token as usize) < run.tokens.end);
            let stretches = self.outputs[rows.clone()].chunk_by(|token, next| token + 1 == *next);
            let mut row = rows.start;
            for stretch in stretches {
                let first_position = run.first_position + stretch[0] as usize - run.tokens.start;
                found.push(Run { tokens: row..row + stretch.len(), first_position, ..run.clone() });
                row += stretch.len();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_tokens_form_runs_without_gaps() {
        let (tokens, positions) = ([0; 9], [0, 1, 2, 3, 4, 20, 21, 22, 0]);
        let run = |tokens, first_position, slot| Run { tokens, first_position, blocks: &[], slot };
        let runs = [run(0..5, 0, 0), run(5..5, 7, 3), run(5..8, 20, 1), run(8..9, 0, 2)];
        let step = StepInputs { tokens: &tokens, positions: &positions, runs: &runs, outputs: &[0, 2, 3, 4, 7] };
        assert_eq!(step.output_runs(), [run(0..1, 0, 0), run(1..4, 2, 0), run(4..5, 22, 1)]);
        for run in step.output_runs() {
            for (row, position) in run.tokens.zip(run.first_position..) {
                assert_eq!(positions[step.token(RowUnit::Outputs, row)], position as u32);
            }
        }
        assert!(StepInputs { outputs: &[], ..step }.output_runs().is_empty());
    }
}
