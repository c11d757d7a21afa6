//! Activations as they are: `[tokens][stride]` F32, rows padded to whole cache lines.

use super::rows_together;
use crate::matmul::InputRows;

const FLOATS_PER_LINE: usize = 16;

/// The layout for rows of `cols` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) struct FloatLayout {
    pub cols: usize,
}

impl FloatLayout {
    /// Elements from one row to the next.
    pub fn stride(&self) -> usize {
        self.cols.next_multiple_of(FLOATS_PER_LINE)
    }

    pub fn bytes(&self, tokens: usize) -> usize {
        tokens * self.stride() * size_of::<f32>()
    }

    pub fn pieces(&self, tokens: usize) -> usize {
        tokens.div_ceil(rows_together(tokens))
    }

    /// # Safety
    /// As [`super::ActivationLayout::prepare`].
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        let together = rows_together(x.tokens);
        for token in piece * together..x.tokens.min((piece + 1) * together) {
            // SAFETY: the token's row is readable, and its place in `out` belongs to this piece.
            unsafe {
                let to = out.cast::<f32>().add(token * self.stride());
                std::ptr::copy_nonoverlapping(x.row(token), to, self.cols);
            }
        }
    }
}
