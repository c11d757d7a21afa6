//! Products of integer weights of all eight bits where the level multiplies floats faster than such bytes: 8-bit
//! activations for few tokens, F32 arithmetic for many.
//!
//! Without dot products, bytes that use their sign bit cost 1.6 times what F32 arithmetic does with AVX-512. Invariant: a
//! token in a prompt and alone differ by the rounding of its activations to eight bits.

use std::ops::Range;

use ascua_gguf::TensorType;

use super::OutputRows;
use super::activation::MixedLayout;
use super::exact::ExactProduct;
use super::quantised::QuantisedProduct;
use crate::isa::Isa;

/// A product of such weights.
#[derive(Clone, Copy)]
pub(super) struct WideProduct {
    few: QuantisedProduct,
    many: ExactProduct,
}

impl WideProduct {
    /// `None` for other types and levels.
    pub fn new(weight: TensorType, cols: usize, row_bytes: usize, isa: Isa) -> Option<WideProduct> {
        if isa != Isa::Avx512 {
            return None;
        }
        let few = QuantisedProduct::new(weight, cols, row_bytes, isa).filter(|few| !few.has_gemm())?;
        Some(WideProduct { few, many: ExactProduct::new(weight, cols, row_bytes, isa) })
    }

    pub fn layout(&self) -> MixedLayout {
        MixedLayout { few: self.few.layout(), many: self.many.layout() }
    }

    pub fn scratch_bytes(&self) -> usize {
        self.few.scratch_bytes().max(self.many.scratch_bytes())
    }

    /// # Safety
    /// As [`super::MatmulKernel::run`]; `scratch` is 64-byte aligned and has `scratch_bytes`.
    pub unsafe fn run(
        &self,
        weights: &[u8],
        prepared: *const u8,
        tokens: usize,
        rows: Range<usize>,
        out: OutputRows<'_>,
        scratch: *mut u8,
    ) {
        // SAFETY: the caller vouches for the operands; the kernels were made for a level of this machine.
        unsafe {
            if self.layout().many_are(tokens) {
                self.many.run(weights, prepared, tokens, rows, out, scratch);
            } else {
                self.few.run(self.few.task(weights, prepared, tokens, out), rows, scratch);
            }
        }
    }
}
