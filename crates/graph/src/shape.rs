//! Symbolic shapes: how many rows a value has depends on the step, how wide a row is never does.
//!
//! Every value of the graph is a matrix of F32. Its width is a fixed number; its rows are counted in tokens of the
//! step or in wanted outputs, so that one plan serves every step (architecture: "plan once").

use std::fmt;

/// What the rows of a value are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowUnit {
    /// Tokens of the step.
    Tokens,
    /// Tokens whose logits are wanted.
    Outputs,
    /// The step itself: there is always one.
    Step,
}

/// Symbolic number of rows: `per` for each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    /// What is counted.
    pub unit: RowUnit,
    /// Rows for one of them: 1 for most values, the number of used experts inside a mixture.
    pub per: usize,
}

impl Rows {
    /// Rows in a step of `tokens` tokens, `outputs` of which want logits.
    pub fn count(self, tokens: usize, outputs: usize) -> usize {
        self.per
            * match self.unit {
                RowUnit::Tokens => tokens,
                RowUnit::Outputs => outputs,
                RowUnit::Step => 1,
            }
    }
}

/// Shape of a value: `[rows, width]`, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Symbolic number of rows.
    pub rows: Rows,
    /// Elements of a row.
    pub width: usize,
}

impl Shape {
    /// One row of `width` for each token.
    pub const fn tokens(width: usize) -> Shape {
        Shape { rows: Rows { unit: RowUnit::Tokens, per: 1 }, width }
    }

    /// `per` times as many rows, another width.
    pub const fn repeated(self, per: usize, width: usize) -> Shape {
        Shape { rows: Rows { unit: self.rows.unit, per: self.rows.per * per }, width }
    }

    /// `rows` rows in every step.
    pub const fn fixed(rows: usize, width: usize) -> Shape {
        Shape { rows: Rows { unit: RowUnit::Step, per: rows }, width }
    }

    /// The same rows, another width.
    pub const fn with_width(self, width: usize) -> Shape {
        Shape { rows: self.rows, width }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.rows.unit {
            RowUnit::Tokens => "tokens",
            RowUnit::Outputs => "outputs",
            RowUnit::Step => "step",
        };
        match self.rows.per {
            1 => write!(f, "[{unit}, {}]", self.width),
            per => write!(f, "[{unit}*{per}, {}]", self.width),
        }
    }
}

/// An operation was given inputs it cannot take.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{operation}: {problem}")]
pub struct ShapeError {
    /// The operation's name.
    pub operation: &'static str,
    /// What was found and what was wanted.
    pub problem: String,
}

impl ShapeError {
    /// An error of `operation`.
    pub fn new(operation: &'static str, problem: impl Into<String>) -> ShapeError {
        ShapeError { operation, problem: problem.into() }
    }
}
