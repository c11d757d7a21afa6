//! Activations of half-precision weights: F32 for few tokens, 16-bit integers with a scale per 128 for many.
//!
//! Few tokens are bound by memory, where floats cost nothing. Many form panels of 16 tokens, whose vectors hold two
//! consecutive elements of every token. Integers are at most [`LARGEST`], so that a group of products with weights
//! of the same size fits 32 bits.

#[cfg(target_arch = "x86_64")]
mod avx512;

use super::float::FloatLayout;
use super::int8::{PANELS_FROM, TOKENS_PER_PANEL};
use crate::isa::Isa;
use crate::matmul::InputRows;

/// Elements that share a scale.
pub(in crate::matmul) const GROUP: usize = 128;
/// `GROUP * LARGEST * LARGEST` is below 2^31.
pub(in crate::matmul) const LARGEST: f32 = 4095.0;
const LINE: usize = 64;

/// The layout for rows of `cols` elements, on machines with AVX-512.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) struct Int16Layout {
    pub cols: usize,
    /// Whether panels are for inner products of Winograd, at [`crate::isa::Isa::Avx512Zen4`], and have start values.
    pub winograd: bool,
}

/// Sixteen tokens as a panel; what pads the last group is zero.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Panel16 {
    /// `[cols / 2][16 tokens][2]`
    pub values: *const i16,
    /// `[cols / 128][16 tokens]`
    pub scales: *const f32,
    /// `[cols / 128][16 tokens]`, if the layout has them: less the products of each four's first and second two elements.
    pub starts: *const i32,
}

impl Int16Layout {
    pub fn uses_panels(&self, tokens: usize) -> bool {
        tokens >= PANELS_FROM
    }

    /// The layout of few tokens.
    pub fn floats(&self) -> FloatLayout {
        FloatLayout { cols: self.cols, isa: Isa::Avx512 }
    }

    pub fn bytes(&self, tokens: usize) -> usize {
        if !self.uses_panels(tokens) {
            return self.floats().bytes(tokens);
        }
        // No smaller than the rows of fewer tokens, so that the size grows with the tokens.
        let fewer = self.floats().bytes(PANELS_FROM - 1);
        fewer.max(tokens.div_ceil(TOKENS_PER_PANEL) * self.panel_stride())
    }

    pub fn pieces(&self, tokens: usize) -> usize {
        if self.uses_panels(tokens) { tokens.div_ceil(TOKENS_PER_PANEL) } else { self.floats().pieces(tokens) }
    }

    /// # Safety
    /// As [`super::ActivationLayout::prepare`], on a machine with AVX-512, and VNNI if `winograd`.
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        // SAFETY: the caller vouches for the same.
        unsafe {
            if !self.uses_panels(x.tokens) {
                return self.floats().prepare(x, piece, out);
            }
            #[cfg(target_arch = "x86_64")]
            avx512::prepare_panel(self, x, piece, self.panel(out, piece));
        }
    }

    /// Panel `panel` of activations prepared as panels.
    pub fn panel(&self, prepared: *const u8, panel: usize) -> Panel16 {
        let values = prepared.wrapping_add(panel * self.panel_stride());
        let scales = values.wrapping_add(self.padded() * TOKENS_PER_PANEL * size_of::<i16>());
        let starts = scales.wrapping_add(self.padded() / GROUP * LINE);
        Panel16 { values: values.cast(), scales: scales.cast(), starts: starts.cast() }
    }

    fn padded(&self) -> usize {
        self.cols.next_multiple_of(GROUP)
    }

    fn panel_stride(&self) -> usize {
        self.padded() * TOKENS_PER_PANEL * size_of::<i16>()
            + self.padded() / GROUP * LINE * (1 + usize::from(self.winograd))
    }
}
