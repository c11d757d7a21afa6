//! Products with weights: the activations are brought to the kernel's layout once, then threads take rows.

use std::ops::Range;

use ascua_gguf::TensorData;
use ascua_graph::Place;

use super::rows::RowWork;
use crate::matmul::{ActivationLayout, InputRows, MatmulKernel, OutputRows};
use crate::program::{Context, Size, Work};

/// Brings a value to the layout of the products that follow.
pub(crate) struct PrepareWork {
    pub layout: ActivationLayout,
    pub input: Place,
    /// Place of the prepared activations in the shared scratch.
    pub prepared: usize,
}

impl RowWork for PrepareWork {
    fn together(&self, rows: usize) -> usize {
        self.layout.piece_tokens(rows)
    }

    unsafe fn rows(&self, context: &Context<'_>, rows: Range<usize>) {
        let tokens = context.rows(&self.input);
        let together = self.together(tokens);
        for piece in rows.start / together..rows.end.div_ceil(together) {
            let input = InputRows { data: context.value(&self.input), stride: self.input.stride, tokens, index: None };
            // SAFETY: the piece's rows are complete, the compiler reserved the bytes of the largest step.
            unsafe { self.layout.prepare(input, piece, context.shared(self.prepared)) };
        }
    }
}

/// A product, its factor and its bias.
pub(crate) struct MatMulWork {
    pub kernel: MatmulKernel,
    pub weight: TensorData,
    pub rows: usize,
    pub prepared: usize,
    pub out: Place,
    pub factor: f32,
    /// Already multiplied by its own factor.
    pub bias: Option<Vec<f32>>,
}

impl Work for MatMulWork {
    fn size(&self, context: &Context<'_>) -> Size {
        let tokens = context.rows(&self.out);
        if tokens == 0 {
            return Size::chunks(0, 1);
        }
        Size {
            pieces: self.rows,
            chunk: self.kernel.row_chunk(tokens, context.threads),
            sharing: self.kernel.row_sharing(tokens),
        }
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]) {
        let tokens = context.rows(&self.out);
        let out = OutputRows { data: context.value(&self.out), stride: self.out.stride, index: None };
        // SAFETY: the activations are complete, and the pieces are this thread's rows of the output.
        unsafe {
            self.kernel.run(&self.weight, context.shared(self.prepared), tokens, pieces.clone(), out, scratch);
        }
        if self.factor == 1.0 && self.bias.is_none() {
            return;
        }
        for token in 0..tokens {
            // SAFETY: as above.
            let row = unsafe { context.row_mut(&self.out, token, pieces.clone()) };
            match &self.bias {
                None => row.iter_mut().for_each(|y| *y *= self.factor),
                Some(bias) => {
                    for (y, b) in row.iter_mut().zip(&bias[pieces.clone()]) {
                        *y = *y * self.factor + b;
                    }
                }
            }
        }
    }
}
