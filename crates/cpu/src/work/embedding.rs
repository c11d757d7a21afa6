//! Rows of the embedding table.

use std::ops::Range;

use ascua_gguf::{TensorData, TensorType};
use ascua_graph::Place;

use crate::program::{Context, Size, Work};

pub(crate) struct EmbeddingWork {
    pub table: TensorData,
    pub tensor_type: TensorType,
    pub out: Place,
}

impl Work for EmbeddingWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Size::chunks(context.step.tokens.len(), 4)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let width = self.out.shape.width;
        let row_bytes = width / self.tensor_type.block_len() * self.tensor_type.block_bytes();
        for row in pieces {
            // SAFETY: this piece owns the row.
            let out = unsafe { context.row_mut(&self.out, row, 0..width) };
            let bytes = &self.table[context.step.tokens[row] as usize * row_bytes..][..row_bytes];
            ascua_quant::format(self.tensor_type)
                .decode_row(bytes, out)
                .expect("the compiler checked that a row is whole blocks");
        }
    }
}
