//! Activations as they are: `[tokens][stride]` F32, rows padded to whole cache lines.

use crate::matmul::InputRows;

const FLOATS_PER_LINE: usize = 16;
const TOKENS_PER_PIECE: usize = 4;

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
        tokens.div_ceil(TOKENS_PER_PIECE)
    }

    /// # Safety
    /// As [`super::ActivationLayout::prepare`].
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        let first = piece * TOKENS_PER_PIECE;
        for token in first..x.tokens.min(first + TOKENS_PER_PIECE) {
            // SAFETY: the token's row is readable, and its place in `out` belongs to this piece.
            unsafe {
                let to = out.cast::<f32>().add(token * self.stride());
                std::ptr::copy_nonoverlapping(x.row(token), to, self.cols);
            }
        }
    }
}
