//! Products of half-precision weights in default precision: F32 arithmetic for few tokens, 16-bit integers for many.
//!
//! Few tokens are bound by reading the weights, so nothing is rounded for them. Invariant: a token in a prompt and
//! alone differ by what 12 bits of a group's largest lose, some 1e-4 of the operands' norms at most.

use std::ops::Range;

use ascua_gguf::TensorType;

use super::OutputRows;
use super::activation::Int16Layout;
use super::exact::{ExactProduct, PlainType};
use super::gemm::int16::HalfGemm;
use super::quantised::Task;
use crate::isa::Isa;

/// A product of F16 or BF16 weights.
#[derive(Clone, Copy)]
pub(super) struct HalfProduct {
    few: ExactProduct,
    many: HalfGemm,
    layout: Int16Layout,
    row_bytes: usize,
}

impl HalfProduct {
    /// `None` for other types, and on levels where F32 arithmetic is no slower.
    pub fn new(weight: TensorType, cols: usize, row_bytes: usize, isa: Isa) -> Option<HalfProduct> {
        let many = HalfGemm::new(PlainType::of(weight)?, isa)?;
        let few = ExactProduct::new(weight, cols, row_bytes, isa);
        let layout = Int16Layout { cols, winograd: many.winograd };
        Some(HalfProduct { few, many, layout, row_bytes })
    }

    pub fn layout(&self) -> Int16Layout {
        self.layout
    }

    pub fn scratch_bytes(&self) -> usize {
        self.few.scratch_bytes().max(HalfGemm::SCRATCH_BYTES)
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
            if self.layout.uses_panels(tokens) {
                let (row_bytes, layout) = (self.row_bytes, self.layout);
                self.many.run(Task { weights, row_bytes, layout, prepared, tokens, out }, rows, scratch);
            } else {
                self.few.run(weights, prepared, tokens, rows, out, scratch);
            }
        }
    }
}
