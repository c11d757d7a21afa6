//! Scales of weights in 8 bits: one for the tensor, for each row, or for each block.
//!
//! A weight `NAME.weight` of DeepSeek's and Qwen's FP8 checkpoints has `NAME.weight_scale_inv`, one number for each block of
//! 128 × 128; other tools write `NAME.weight_scale` for the tensor or each row. Both are factors, whatever their name says.

use super::TensorProblem;
use super::tensor::StoredTensor;

/// Endings that make a weight's name the name of its scales.
const ENDINGS: [&str; 2] = ["_scale_inv", "_scale"];
/// Endings of what scales activations, or what is cached of them.
const OF_ACTIVATIONS: [&str; 6] =
    [".activation_scale", "_activation_scale", ".input_scale", ".output_scale", ".k_scale", ".v_scale"];

/// The names that scales of a weight may have.
pub(super) fn names(weight: &str) -> [String; 2] {
    ENDINGS.map(|ending| format!("{weight}{ending}"))
}

/// The weight that a tensor called so would be the scale of.
pub(super) fn weight_of(name: &str) -> Option<String> {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).map(str::to_owned)
}

pub(super) fn is_of_activations(name: &str) -> bool {
    OF_ACTIVATIONS.iter().any(|ending| name.ends_with(ending))
}

/// Factors on the elements of a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockScale {
    values: Vec<f32>,
    /// Rows of a matrix, and of its scales.
    matrix: (u64, u64),
    /// Rows and columns that share a factor.
    block: (u64, u64),
    /// Factors in a row.
    columns: usize,
}

impl BlockScale {
    /// The factors `scale` of `weight`; `block` is the shape of a block, where they are for blocks.
    pub(super) fn new(
        weight: &StoredTensor,
        scale: &StoredTensor,
        block: [u64; 2],
    ) -> Result<BlockScale, TensorProblem> {
        if !scale.dtype.is_decoded() || scale.dtype.needs_scale() {
            return Err(TensorProblem::NotFloats { dtype: scale.dtype });
        }
        let wrong = || TensorProblem::ScaleShape { shape: scale.shape.clone(), weight: weight.shape.clone() };
        let dimensions = weight.shape.len().max(1);
        // One factor alone, and a list with one for each row, have fewer dimensions than the weight.
        let mut shape = scale.shape.clone();
        if scale.elements() == 1 {
            shape = vec![1; dimensions];
        }
        while shape.len() < dimensions {
            shape.push(1);
        }
        if shape.len() != dimensions {
            return Err(wrong());
        }
        let at = |shape: &[u64], from_last: usize| shape.iter().rev().nth(from_last).copied().unwrap_or(1);
        let (rows, columns) = (at(&weight.shape, 1), at(&weight.shape, 0));
        let shared = |size: u64, found: u64, block: u64| match found {
            1 => Some(size.max(1)),
            _ if found == size => Some(1),
            _ if block > 0 && size.div_ceil(block) == found => Some(block),
            _ => None,
        };
        let row_block = shared(rows, at(&shape, 1), block[0]).ok_or_else(wrong)?;
        let column_block = shared(columns, at(&shape, 0), block[1]).ok_or_else(wrong)?;
        let matrices = weight.shape.iter().rev().skip(2);
        let same = matrices.eq(shape.iter().rev().skip(2));
        if !same && scale.elements() != 1 {
            return Err(wrong());
        }
        // One factor for all matrices is one matrix of all rows.
        let all_rows = if same { rows } else { weight.rows() };
        Ok(BlockScale {
            values: scale.values(),
            matrix: (all_rows.max(1), at(&shape, 1)),
            block: (if same { row_block } else { all_rows.max(1) }, column_block),
            columns: at(&shape, 0) as usize,
        })
    }

    /// Multiplies the elements of a row.
    pub(crate) fn apply(&self, row: u64, values: &mut [f32]) {
        let (matrix, row) = (row / self.matrix.0, row % self.matrix.0);
        let row = (matrix * self.matrix.1 + row / self.block.0) as usize;
        let factors = &self.values[row * self.columns..][..self.columns];
        for (values, factor) in values.chunks_mut(self.block.1 as usize).zip(factors) {
            values.iter_mut().for_each(|value| *value *= factor);
        }
    }
}
