//! The rows of a tensor of the file, read from the checkpoint as they are asked for.

use ascua_models::hugging_face::Change;

use super::assemble::{Assembled, Content, Source};
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::quantize::QuantizeError;
use crate::weights::TensorRows;

/// Least length that a row is divided by.
const LEAST_LENGTH: f32 = 1e-12;

/// The rows of one tensor.
pub(super) struct Rows<'a> {
    content: RowContent<'a>,
    /// Elements of a row.
    columns: usize,
    /// Rows of a matrix.
    rows: u64,
}

enum RowContent<'a> {
    Computed(&'a [f32]),
    /// What would be rows of a matrix are elements here: a bias, a norm.
    List(Origin<'a>),
    Matrices(Vec<Origin<'a>>),
}

/// A tensor of the checkpoint, and what happens to it.
struct Origin<'a> {
    tensor: &'a StoredTensor,
    source: &'a Source,
}

impl<'a> Rows<'a> {
    pub fn new(checkpoint: &'a Checkpoint, assembled: &'a Assembled) -> Rows<'a> {
        let origin = |source: &'a Source| {
            let tensor = checkpoint.tensor(&source.name).expect("sources are tensors of the checkpoint");
            Origin { tensor, source }
        };
        let content = match &assembled.content {
            Content::Computed(values) => RowContent::Computed(values),
            Content::Stored(sources) if assembled.shape.len() > 1 => {
                RowContent::Matrices(sources.iter().map(origin).collect())
            }
            Content::Stored(sources) => RowContent::List(origin(&sources[0])),
        };
        let columns = assembled.shape.first().map_or(1, |&columns| columns as usize);
        Rows { content, columns, rows: assembled.shape.get(1).copied().unwrap_or(1) }
    }

    /// One row of a matrix.
    fn decode_row(&self, origins: &[Origin<'_>], row: u64, out: &mut [f32]) {
        // Rows of this tensor that an origin holds; all have the same shape.
        let held = (origins[0].tensor.rows() / origins[0].source.part.count).max(1);
        let (origin, row) = (&origins[(row / held) as usize], row % held);
        let (matrix, row) = (row / self.rows, row % self.rows);
        let Origin { tensor, source } = origin;
        let in_matrix = source.part.index * self.rows + source.moved(row, self.rows);
        let stored = matrix * tensor.shape.iter().rev().nth(1).copied().unwrap_or(1) + in_matrix;
        tensor.decode_row(stored, out);
        if let Some(scale) = &source.scale {
            scale.apply(stored, out);
        }
        source.change_values(out);
    }
}

impl Source {
    /// Where row `row` of `rows` comes from: of each head the halves lie one after the other, and become pairs.
    fn moved(&self, row: u64, rows: u64) -> u64 {
        let Some(heads) = self.paired_heads else { return row };
        let head = rows / heads;
        let within = row % head;
        row - within + within % 2 * (head / 2) + within / 2
    }

    fn change_values(&self, values: &mut [f32]) {
        match self.change {
            Change::Keep => {}
            Change::AddOne => values.iter_mut().for_each(|value| *value += 1.0),
            Change::UnitRows => {
                let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(LEAST_LENGTH);
                values.iter_mut().for_each(|value| *value /= length);
            }
        }
        if self.factor != 1.0 {
            values.iter_mut().for_each(|value| *value *= self.factor);
        }
    }
}

impl TensorRows for Rows<'_> {
    fn decode(&self, first: usize, out: &mut [f32]) -> Result<(), QuantizeError> {
        match &self.content {
            RowContent::Computed(values) => out.copy_from_slice(values),
            RowContent::List(Origin { tensor, source }) => {
                let mut values = tensor.values();
                if let Some(scale) = &source.scale {
                    scale.apply(0, &mut values);
                }
                let count = out.len() as u64;
                for (place, out) in (0..count).zip(out.iter_mut()) {
                    *out = values[(source.part.index * count + source.moved(place, count)) as usize];
                }
                source.change_values(out);
            }
            RowContent::Matrices(origins) => {
                for (row, out) in (first as u64..).zip(out.chunks_mut(self.columns)) {
                    self.decode_row(origins, row, out);
                }
            }
        }
        Ok(())
    }

    fn stored(&self) -> Option<&[u8]> {
        None
    }

    fn release(&self) {
        match &self.content {
            RowContent::Computed(_) => {}
            RowContent::List(origin) => origin.tensor.release(),
            RowContent::Matrices(origins) => origins.iter().for_each(|origin| origin.tensor.release()),
        }
    }
}
