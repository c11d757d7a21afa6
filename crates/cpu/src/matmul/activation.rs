//! Activations as the products read them.
//!
//! A step's F32 rows are brought to the layout of the products that follow, once for all products of equal layout
//! and in pieces that threads take independently. Invariant: what is written depends on a token's own row only, and
//! the 8-bit values and scales of a token are the same in every form.

mod int8;

pub(super) use int8::{ActivationGroup, Int8Layout, PanelView, Panels, RowView, TOKENS_PER_PANEL};

use super::InputRows;
use super::exact::Activations;

/// How a product wants its activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationLayout {
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// `[tokens][stride]` F32, rows padded to whole cache lines.
    Float { cols: usize },
    /// 8-bit integers with scales.
    Int8(Int8Layout),
}

const FLOATS_PER_LINE: usize = 16;
const TOKENS_PER_PIECE: usize = 4;

impl ActivationLayout {
    pub(super) fn float(cols: usize) -> ActivationLayout {
        ActivationLayout { form: Form::Float { cols } }
    }

    pub(super) fn int8(layout: Int8Layout) -> ActivationLayout {
        ActivationLayout { form: Form::Int8(layout) }
    }

    /// Bytes the prepared activations of `tokens` take, from a 64-byte aligned address; grows with `tokens`.
    pub fn bytes(&self, tokens: usize) -> usize {
        match self.form {
            Form::Float { cols } => tokens * float_stride(cols) * size_of::<f32>(),
            Form::Int8(layout) => layout.bytes(tokens),
        }
    }

    /// Independent pieces of the preparation.
    pub fn pieces(&self, tokens: usize) -> usize {
        match self.form {
            Form::Float { .. } => tokens.div_ceil(TOKENS_PER_PIECE),
            Form::Int8(layout) => layout.pieces(tokens),
        }
    }

    /// Prepares one piece.
    ///
    /// # Safety
    /// `x` describes `x.tokens` readable rows of this layout's elements, an index has as many entries, `piece` is
    /// below `pieces(x.tokens)`, and `out` is 64-byte aligned and has `bytes(x.tokens)` writable bytes of which
    /// nothing else touches this piece's part meanwhile.
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        match self.form {
            Form::Float { cols } => {
                let first = piece * TOKENS_PER_PIECE;
                for token in first..x.tokens.min(first + TOKENS_PER_PIECE) {
                    // SAFETY: the token's row is readable, and its place in `out` belongs to this piece.
                    unsafe {
                        let to = out.cast::<f32>().add(token * float_stride(cols));
                        std::ptr::copy_nonoverlapping(x.row(token), to, cols);
                    }
                }
            }
            // SAFETY: the caller vouches for the same.
            Form::Int8(layout) => unsafe { layout.prepare(x, piece, out) },
        }
    }

    /// The 8-bit layout, if it is one.
    #[cfg(test)]
    pub(super) fn as_int8(&self) -> Option<Int8Layout> {
        match self.form {
            Form::Float { .. } => None,
            Form::Int8(layout) => Some(layout),
        }
    }

    /// Prepared F32 rows of this layout.
    pub(super) fn float_rows(prepared: *const u8, cols: usize) -> Activations {
        Activations { data: prepared.cast(), stride: float_stride(cols) }
    }
}

fn float_stride(cols: usize) -> usize {
    cols.next_multiple_of(FLOATS_PER_LINE)
}
