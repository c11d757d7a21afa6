//! Products of integer weight blocks with 8-bit activations.
//!
//! Few tokens stream the weights once through a GEMV; many go through a GEMM over panels of tokens, or the GEMV where the
//! level has none. A type without either uses the plain kernel of [`rows`], which decodes a row to 8-bit integers
//! first.

mod rows;

use std::ops::Range;

use ascua_gguf::TensorType;

use super::OutputRows;
use super::activation::{ActivationGroup, Int8Layout, Panels, RowOrder};
use super::gemm::Gemm;
use super::gemv::{self, Gemv};
use super::integers::IntegerFormat;
use crate::isa::Isa;
use rows::RowsKernel;

/// A product with 8-bit activations.
#[derive(Clone, Copy)]
pub(super) struct QuantisedProduct {
    layout: Int8Layout,
    row_bytes: usize,
    format: IntegerFormat,
    rows: RowsKernel,
    gemv: Option<Gemv>,
    gemm: Option<Gemm>,
}

/// What a kernel computes: all operands in their layouts.
#[derive(Clone, Copy)]
pub(super) struct Task<'a, L = Int8Layout> {
    /// The whole matrix.
    pub weights: &'a [u8],
    pub row_bytes: usize,
    pub layout: L,
    /// Activations in `layout`.
    pub prepared: *const u8,
    pub tokens: usize,
    pub out: OutputRows<'a>,
}

impl QuantisedProduct {
    /// `None` where the type has no integer view.
    pub fn new(weight: TensorType, cols: usize, row_bytes: usize, isa: Isa) -> Option<QuantisedProduct> {
        let format = IntegerFormat::of(weight, isa)?;
        let gemm = Gemm::new(weight, format, isa);
        let group = if format.has_super_blocks() { ActivationGroup::Of256 } else { ActivationGroup::Of32 };
        let gemv = gemv::kernel(weight, isa);
        let order = gemv.map_or(RowOrder::Natural, |gemv| gemv.order);
        let panels = gemm.map_or(Panels::Never, |gemm| gemm.panels());
        Some(QuantisedProduct {
            layout: Int8Layout { cols, group, order, panels, isa },
            row_bytes,
            format,
            rows: RowsKernel::new(isa),
            gemv,
            gemm,
        })
    }

    pub fn layout(&self) -> Int8Layout {
        self.layout
    }

    /// Whether the level has a GEMM for the type.
    pub fn has_gemm(&self) -> bool {
        self.gemm.is_some()
    }

    pub fn scratch_bytes(&self) -> usize {
        let gemm = self.gemm.map_or(0, |_| Gemm::SCRATCH_BYTES);
        RowsKernel::scratch_bytes(self.layout.cols).max(gemm)
    }

    /// # Safety
    /// As [`super::MatmulKernel::run`]; `scratch` is 64-byte aligned and has `scratch_bytes`.
    pub unsafe fn run(&self, task: Task<'_>, rows: Range<usize>, scratch: *mut u8) {
        // SAFETY: the caller vouches for the operands; the kernels were made for a level of this machine.
        unsafe {
            match (self.gemm, self.gemv) {
                (Some(gemm), _) if self.layout.uses_panels(task.tokens) => gemm.run(&self.format, task, rows, scratch),
                (_, Some(gemv)) => (gemv.run)(task, rows),
                _ => self.rows.run(&self.format, task, rows, scratch),
            }
        }
    }

    pub fn task<'a>(&self, weights: &'a [u8], prepared: *const u8, tokens: usize, out: OutputRows<'a>) -> Task<'a> {
        Task { weights, row_bytes: self.row_bytes, layout: self.layout, prepared, tokens, out }
    }
}

impl Task<'_> {
    /// The bytes of a row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[u8] {
        &self.weights[row * self.row_bytes..(row + 1) * self.row_bytes]
    }
}
