//! Activations as the products read them.
//!
//! A step's F32 rows are brought to the layout of the products that follow, once for all products of equal layout
//! and in pieces that threads take independently. Invariant: what is written depends on a token's own row only, and
//! the 8-bit values and scales of a token are the same in every form, but for the outliers that panels list apart, and
//! for panels that have fewer levels.

mod float;
mod int16;
mod int8;
#[cfg(target_arch = "x86_64")]
mod tokens;

pub(super) use float::FloatLayout;
#[cfg(target_arch = "x86_64")]
pub(super) use int8::SCALE_BITS;
pub(super) use int8::{ActivationGroup, Columns, Int8Layout, PanelView, Panels, RowOrder, RowView, TOKENS_PER_PANEL};
pub(super) use int16::{GROUP as GROUP16, Int16Layout};
#[cfg(target_arch = "x86_64")]
pub(super) use int16::{LARGEST as LARGEST16, Panel16};

use super::InputRows;

/// A multiple of the tokens that each piece of a preparation takes, in a step of `tokens`.
pub(crate) fn rows_together(tokens: usize) -> usize {
    if tokens < int8::PANELS_FROM { 1 } else { TOKENS_PER_PANEL }
}

/// How a product wants its activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationLayout {
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// F32 rows, or panels.
    Float(FloatLayout),
    /// F32 rows, or panels of 16-bit integers.
    Int16(Int16Layout),
    /// 8-bit integers with scales.
    Int8(Int8Layout),
    /// 8-bit integers for few tokens, F32 for many.
    Mixed(MixedLayout),
}

/// Rows of 8-bit integers for few tokens, panels of F32 for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MixedLayout {
    pub few: Int8Layout,
    pub many: FloatLayout,
}

impl MixedLayout {
    /// Whether tokens are many.
    pub fn many_are(&self, tokens: usize) -> bool {
        self.many.uses_panels(tokens)
    }

    fn bytes(&self, tokens: usize) -> usize {
        if self.many_are(tokens) {
            // No smaller than of fewer tokens, whose short rows are padded.
            self.many.bytes(tokens).max(self.few.bytes(int8::PANELS_FROM - 1))
        } else {
            self.few.bytes(tokens)
        }
    }

    fn pieces(&self, tokens: usize) -> usize {
        if self.many_are(tokens) { self.many.pieces(tokens) } else { self.few.pieces(tokens) }
    }

    /// # Safety
    /// As [`ActivationLayout::prepare`].
    unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        // SAFETY: the caller vouches for the same.
        unsafe {
            if self.many_are(x.tokens) {
                self.many.prepare(x, piece, out);
            } else {
                self.few.prepare(x, piece, out);
            }
        }
    }
}

/// Layouts that have panels.
pub(super) trait PanelLayout: Copy {
    /// Elements of a row.
    fn cols(&self) -> usize;
}

impl PanelLayout for Int8Layout {
    fn cols(&self) -> usize {
        self.cols
    }
}

impl PanelLayout for FloatLayout {
    fn cols(&self) -> usize {
        self.cols
    }
}

impl PanelLayout for Int16Layout {
    fn cols(&self) -> usize {
        self.cols
    }
}

impl ActivationLayout {
    pub(super) fn float(layout: FloatLayout) -> ActivationLayout {
        ActivationLayout { form: Form::Float(layout) }
    }

    pub(super) fn int16(layout: Int16Layout) -> ActivationLayout {
        ActivationLayout { form: Form::Int16(layout) }
    }

    pub(super) fn int8(layout: Int8Layout) -> ActivationLayout {
        ActivationLayout { form: Form::Int8(layout) }
    }

    pub(super) fn mixed(layout: MixedLayout) -> ActivationLayout {
        ActivationLayout { form: Form::Mixed(layout) }
    }

    /// Bytes the prepared activations of `tokens` take, from a 64-byte aligned address; grows with `tokens`.
    pub fn bytes(&self, tokens: usize) -> usize {
        match self.form {
            Form::Float(layout) => layout.bytes(tokens),
            Form::Int16(layout) => layout.bytes(tokens),
            Form::Int8(layout) => layout.bytes(tokens),
            Form::Mixed(layout) => layout.bytes(tokens),
        }
    }

    /// Independent pieces of the preparation.
    pub fn pieces(&self, tokens: usize) -> usize {
        match self.form {
            Form::Float(layout) => layout.pieces(tokens),
            Form::Int16(layout) => layout.pieces(tokens),
            Form::Int8(layout) => layout.pieces(tokens),
            Form::Mixed(layout) => layout.pieces(tokens),
        }
    }

    /// Tokens of a piece; the last may have fewer.
    pub(crate) fn piece_tokens(&self, tokens: usize) -> usize {
        if self.pieces(tokens) == tokens { 1 } else { rows_together(tokens) }
    }

    /// Prepares one piece.
    ///
    /// # Safety
    /// `x` describes `x.tokens` rows of this layout's elements, those of the piece readable; an index has as many
    /// entries, `piece` is below `pieces(x.tokens)`, and `out` is 64-byte aligned and has `bytes(x.tokens)` writable
    /// bytes of which nothing else touches this piece's part meanwhile.
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        // SAFETY: the caller vouches for the same, and a product with a layout runs on its level only.
        unsafe {
            match self.form {
                Form::Float(layout) => layout.prepare(x, piece, out),
                Form::Int16(layout) => layout.prepare(x, piece, out),
                Form::Int8(layout) => layout.prepare(x, piece, out),
                Form::Mixed(layout) => layout.prepare(x, piece, out),
            }
        }
    }

    /// The 8-bit layout of so many tokens, if it is one.
    #[cfg(test)]
    pub(super) fn as_int8(&self, tokens: usize) -> Option<Int8Layout> {
        match self.form {
            Form::Int8(layout) => Some(layout),
            Form::Mixed(layout) if !layout.many_are(tokens) => Some(layout.few),
            Form::Float(_) | Form::Int16(_) | Form::Mixed(_) => None,
        }
    }
}
