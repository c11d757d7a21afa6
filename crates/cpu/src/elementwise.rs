//! Row-wise operations around the products: norms, sums, activations and gates, softmax.
//!
//! Each works on one row (or any run of elements) at a time; the caller splits rows between workers. Rows are raw
//! pointers because the plan lets a result take the place of an input: an output may be exactly an input, and must
//! otherwise not overlap it.
//!
//! Sources: Zhang & Sennrich 2019 (RMS norm), Ba et al. 2016 (layer norm), Hendrycks & Gimpel 2016 (GELU), Shazeer 2020
//! (gates). The numbers are F32 throughout; accuracy of the functions is stated in `lanes::functions`.

mod activation;
mod arithmetic;
mod norm;
mod softmax;

pub use activation::Activation;

use crate::isa::{Isa, IsaError};
use crate::lanes::dispatch;

/// The row-wise kernels of one instruction-set level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elementwise {
    isa: Isa,
}

/// Every method's contract: pointers are valid for `n` elements (or as stated), `out` is either exactly one of the inputs
/// or overlaps none of them, and nobody else writes to either.
impl Elementwise {
    /// The kernels of a level that this machine has.
    pub fn new(isa: Isa) -> Result<Elementwise, IsaError> {
        Ok(Elementwise { isa: isa.require()? })
    }

    /// `out = x / sqrt(mean(x²) + epsilon) * weight`, with no weight meaning one.
    /// # Safety
    /// See the type; `weight`, if any, is readable for `n` elements.
    #[inline]
    pub unsafe fn rms_norm(self, x: *const f32, weight: Option<*const f32>, epsilon: f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, norm::RmsNorm { x, weight, epsilon, n, out }) };
    }

    /// `out = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`.
    /// # Safety
    /// See the type; `weight` and `bias`, if any, are readable for `n` elements.
    #[inline]
    pub unsafe fn layer_norm(
        self,
        x: *const f32,
        weight: Option<*const f32>,
        bias: Option<*const f32>,
        epsilon: f32,
        n: usize,
        out: *mut f32,
    ) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, norm::LayerNorm { x, weight, bias, epsilon, n, out }) };
    }

    /// `out = a + b`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn add(self, a: *const f32, b: *const f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, arithmetic::Binary { function: arithmetic::Add, a, b, n, out }) };
    }

    /// `out = a * b`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn mul(self, a: *const f32, b: *const f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, arithmetic::Binary { function: arithmetic::Mul, a, b, n, out }) };
    }

    /// `out = a * factor + b`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn scale_add(self, a: *const f32, factor: f32, b: *const f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, arithmetic::Binary { function: arithmetic::ScaleAdd(factor), a, b, n, out }) };
    }

    /// `out = x * factor`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn scale(self, x: *const f32, factor: f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, arithmetic::Unary { function: arithmetic::Scale(factor), x, n, out }) };
    }

    /// `out = limit * tanh(x / limit)`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn softcap(self, x: *const f32, limit: f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, arithmetic::Unary { function: arithmetic::Softcap(limit), x, n, out }) };
    }

    /// `out = function(x)`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn activate(self, function: Activation, x: *const f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { activation::activate(self.isa, function, x, n, out) };
    }

    /// `out = function(gate) * up`.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn gate(self, function: Activation, gate: *const f32, up: *const f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { activation::gate(self.isa, function, gate, up, n, out) };
    }

    /// `out = softmax(x)`: positive numbers with the sum one, in proportion to e^x. An empty row stays empty.
    /// # Safety
    /// See the type.
    #[inline]
    pub unsafe fn softmax(self, x: *const f32, n: usize, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, softmax::Softmax { x, n, out }) };
    }
}

#[cfg(test)]
mod tests;
