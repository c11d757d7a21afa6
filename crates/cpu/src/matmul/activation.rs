//! Activations as the products read them.
//!
//! A step's F32 rows are brought to the layout of the products that follow, once for all products of equal layout
//! and in pieces that threads take independently.

use super::InputRows;
use super::exact::Activations;

/// How a product wants its activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationLayout {
    cols: usize,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// `[tokens][stride]` F32, rows padded to whole cache lines.
    Float,
}

const FLOATS_PER_LINE: usize = 16;
const TOKENS_PER_PIECE: usize = 4;

impl ActivationLayout {
    pub(super) fn float(cols: usize) -> ActivationLayout {
        ActivationLayout { cols, form: Form::Float }
    }

    /// Bytes the prepared activations of `tokens` take, from a 64-byte aligned address; grows with `tokens`.
    pub fn bytes(&self, tokens: usize) -> usize {
        match self.form {
            Form::Float => tokens * self.float_stride() * size_of::<f32>(),
        }
    }

    /// Independent pieces of the preparation.
    pub fn pieces(&self, tokens: usize) -> usize {
        match self.form {
            Form::Float => tokens.div_ceil(TOKENS_PER_PIECE),
        }
    }

    /// Prepares one piece.
    ///
    /// # Safety
    /// `x` describes `x.tokens` readable rows of this layout's elements, an index has as many entries, `piece` is
    /// below `pieces(x.tokens)`, and `out` has `bytes(x.tokens)` writable bytes of which nothing else touches this
    /// piece's part meanwhile.
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        match self.form {
            Form::Float => {
                let first = piece * TOKENS_PER_PIECE;
                for token in first..x.tokens.min(first + TOKENS_PER_PIECE) {
                    // SAFETY: the token's row is readable, and its place in `out` belongs to this piece.
                    unsafe {
                        let to = out.cast::<f32>().add(token * self.float_stride());
                        std::ptr::copy_nonoverlapping(x.row(token), to, self.cols);
                    }
                }
            }
        }
    }

    pub(super) fn float_rows(&self, prepared: *const u8) -> Activations {
        Activations { data: prepared.cast(), stride: self.float_stride() }
    }

    fn float_stride(&self) -> usize {
        self.cols.next_multiple_of(FLOATS_PER_LINE)
    }
}
