//! Activations as they are: rows for few tokens, panels of 16 tokens for many.

use super::int8::{PANELS_FROM, TOKENS_PER_PANEL};
use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::matmul::InputRows;

const FLOATS_PER_LINE: usize = 16;

/// The layout for rows of `cols` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) struct FloatLayout {
    pub cols: usize,
    /// The level that panels are prepared with.
    pub isa: Isa,
}

impl FloatLayout {
    pub fn uses_panels(&self, tokens: usize) -> bool {
        tokens >= PANELS_FROM
    }

    /// Elements from one row to the next: whole cache lines.
    pub fn stride(&self) -> usize {
        self.cols.next_multiple_of(FLOATS_PER_LINE)
    }

    pub fn bytes(&self, tokens: usize) -> usize {
        let rows = if self.uses_panels(tokens) { tokens.next_multiple_of(TOKENS_PER_PANEL) } else { tokens };
        rows * self.stride() * size_of::<f32>()
    }

    pub fn pieces(&self, tokens: usize) -> usize {
        if self.uses_panels(tokens) { tokens.div_ceil(TOKENS_PER_PANEL) } else { tokens }
    }

    /// # Safety
    /// As [`super::ActivationLayout::prepare`].
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        // SAFETY: the row or the panel's rows are readable, and their place in `out` belongs to this piece.
        unsafe {
            if self.uses_panels(x.tokens) {
                let to = self.panel(out, piece).cast_mut();
                return dispatch(self.isa, Turn { x, cols: self.cols, panel: piece, to });
            }
            let to = out.cast::<f32>().add(piece * self.stride());
            std::ptr::copy_nonoverlapping(x.row(piece), to, self.cols);
        }
    }

    /// Panel `panel` of activations prepared as panels, `[cols][16 tokens]`; tokens beyond the last are zeros.
    pub fn panel(&self, prepared: *const u8, panel: usize) -> *const f32 {
        prepared.cast::<f32>().wrapping_add(panel * TOKENS_PER_PANEL * self.stride())
    }
}

/// Brings the tokens of a panel to lanes.
struct Turn<'a> {
    x: InputRows<'a>,
    cols: usize,
    panel: usize,
    to: *mut f32,
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Turn { x, cols, panel, to } = self;
        let zeros = [0f32; TOKENS_PER_PANEL];
        let first = panel * TOKENS_PER_PANEL;
        let tokens = TOKENS_PER_PANEL.min(x.tokens - first);
        for col in (0..cols).step_by(TOKENS_PER_PANEL) {
            let count = TOKENS_PER_PANEL.min(cols - col);
            let mut rest = [zeros; TOKENS_PER_PANEL];
            let mut from = [zeros.as_ptr(); TOKENS_PER_PANEL];
            for (lane, (from, rest)) in from.iter_mut().zip(&mut rest).enumerate().take(tokens) {
                // SAFETY: the token is one of x's, whose rows have the columns.
                unsafe {
                    let row = x.row(first + lane).add(col);
                    *from = row;
                    if count < TOKENS_PER_PANEL {
                        std::ptr::copy_nonoverlapping(row, rest.as_mut_ptr(), count);
                        *from = rest.as_ptr();
                    }
                }
            }
            // SAFETY: sixteen numbers are readable from each pointer, and the panel has whole sixteens of columns.
            unsafe {
                V::transpose(from, std::array::from_fn(|k| to.add((col + k) * TOKENS_PER_PANEL)));
            }
        }
    }
}
