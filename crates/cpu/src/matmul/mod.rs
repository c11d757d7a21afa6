//! Products of a weight matrix with the activations of the step's tokens.
//!
//! `y[token][row] = sum over k of w[row][k] * x[token][k]`: weights are read in place in their GGUF layout, mapped
//! from the file, at any alignment and never past their end. The flow: [`MatmulKernel::new`] picks the kernels for
//! (type, shape, precision, level) once; each step the activations are brought to the kernel's [`ActivationLayout`],
//! in independent pieces; then threads run disjoint ranges of rows.
//!
//! Invariant: the result of a (row, token) pair does not depend on how rows are split among threads, and depends on
//! the other tokens of the batch only through the order of float additions (some 1e-7 of the result). Whether there are
//! few tokens or many matters more: many have outliers that are not rounded, with half-precision weights the rounding of
//! [`half`], and with those of [`wide`] none at all.

// Some of what the kernels share has users on x86-64 only.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

mod activation;
mod ahead;
mod bytes16;
mod exact;
mod gemm;
mod gemv;
mod half;
mod integers;
mod quantised;
#[cfg(test)]
mod tests;
mod wide;

use std::ops::Range;

use ascua_gguf::TensorType;

pub use activation::ActivationLayout;
pub(crate) use activation::rows_together;
pub use ascua_graph::Precision;
pub(crate) use integers::half_to_f32;

use crate::isa::Isa;
use crate::pool::Sharing;
use exact::ExactProduct;
use half::HalfProduct;
use quantised::QuantisedProduct;
use wide::WideProduct;

/// The kernels for one weight matrix.
#[derive(Clone, Copy)]
pub struct MatmulKernel {
    rows: usize,
    row_bytes: usize,
    activation: ActivationLayout,
    path: Path,
}

#[derive(Clone, Copy)]
enum Path {
    Exact(ExactProduct),
    Half(HalfProduct),
    Quantised(QuantisedProduct),
    Wide(WideProduct),
}

/// The activations of a step: `tokens` rows of F32.
#[derive(Clone, Copy)]
pub struct InputRows<'a> {
    /// First element of row 0.
    pub data: *const f32,
    /// Elements from one row to the next.
    pub stride: usize,
    /// Tokens to read.
    pub tokens: usize,
    /// Token `t` reads row `index[t]`; without it, row `t`.
    pub index: Option<&'a [u32]>,
}

/// Where a product goes: a row of F32 per token.
#[derive(Clone, Copy)]
pub struct OutputRows<'a> {
    /// First element of row 0.
    pub data: *mut f32,
    /// Elements from one row to the next.
    pub stride: usize,
    /// Token `t` writes row `index[t]`; without it, row `t`.
    pub index: Option<&'a [u32]>,
}

/// A product that cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedProduct {
    /// Rows are not whole blocks.
    #[error("a row of {cols} elements is not whole {weight} blocks of {} elements", .weight.block_len())]
    PartialBlock {
        /// Type of the weights.
        weight: TensorType,
        /// Elements of a row.
        cols: usize,
    },
    /// The matrix is larger than the address space.
    #[error("{rows} rows of {cols} {weight} elements exceed the address space")]
    TooLarge {
        /// Type of the weights.
        weight: TensorType,
        /// Rows of the matrix.
        rows: usize,
        /// Elements of a row.
        cols: usize,
    },
    /// The level is not one of this machine's.
    #[error(transparent)]
    Isa(#[from] crate::isa::IsaError),
}

impl MatmulKernel {
    /// The best kernels for `rows` rows of `cols` elements of a type, at the given level.
    pub fn new(
        weight: TensorType,
        rows: usize,
        cols: usize,
        precision: Precision,
        isa: Isa,
    ) -> Result<MatmulKernel, UnsupportedProduct> {
        ahead::tune();
        let isa = isa.require()?;
        if cols == 0 || !cols.is_multiple_of(weight.block_len()) {
            return Err(UnsupportedProduct::PartialBlock { weight, cols });
        }
        let too_large = UnsupportedProduct::TooLarge { weight, rows, cols };
        let row_bytes = weight.row_bytes(cols).ok_or(too_large.clone())?;
        row_bytes.checked_mul(rows).ok_or(too_large)?;
        let path = match precision {
            Precision::Exact => None,
            Precision::Quantised => WideProduct::new(weight, cols, row_bytes, isa)
                .map(Path::Wide)
                .or_else(|| QuantisedProduct::new(weight, cols, row_bytes, isa).map(Path::Quantised))
                .or_else(|| HalfProduct::new(weight, cols, row_bytes, isa).map(Path::Half)),
        };
        let path = path.unwrap_or_else(|| Path::Exact(ExactProduct::new(weight, cols, row_bytes, isa)));
        let activation = match path {
            Path::Exact(exact) => ActivationLayout::float(exact.layout()),
            Path::Half(half) => ActivationLayout::int16(half.layout()),
            Path::Quantised(product) => ActivationLayout::int8(product.layout()),
            Path::Wide(product) => ActivationLayout::mixed(product.layout()),
        };
        Ok(MatmulKernel { rows, row_bytes, activation, path })
    }

    /// The layout the activations must have; products over the same input with equal layouts share them.
    pub fn activation(&self) -> ActivationLayout {
        self.activation
    }

    /// Scratch each thread must have.
    pub fn scratch_bytes(&self) -> usize {
        let bytes = match &self.path {
            Path::Exact(exact) => exact.scratch_bytes(),
            Path::Half(half) => half.scratch_bytes(),
            Path::Quantised(quantised) => quantised.scratch_bytes(),
            Path::Wide(wide) => wide.scratch_bytes(),
        };
        bytes + SCRATCH_ALIGNMENT
    }

    /// Rows one work item should have, so that items are long enough to stream and even among the threads.
    pub fn row_chunk(&self, tokens: usize, threads: usize) -> usize {
        let threads = threads.max(1);
        let few = tokens <= FEW_TOKENS;
        let item = if few { (STREAM_BYTES / self.row_bytes.max(1)).clamp(16, 256) } else { TILE_ROWS };
        let items = self.rows.div_ceil(item).next_multiple_of(threads);
        let even = self.rows.div_ceil(items.max(1)).max(1);
        even.next_multiple_of(match even {
            _ if few => 4,
            0..=48 => 12,
            _ => 16, // whole lines of the results
        })
    }

    /// How threads should take their rows: of few tokens they stream the weights.
    pub fn row_sharing(&self, tokens: usize) -> Sharing {
        if tokens <= FEW_TOKENS { Sharing::Runs } else { Sharing::Chunks }
    }

    /// Computes `rows` of the product for all `tokens`.
    ///
    /// # Safety
    /// `activations` is 64-byte aligned and was filled by [`ActivationLayout::prepare`] of [`Self::activation`], all
    /// pieces, for exactly these `tokens`. Every output row has `rows.end` writable elements, nothing else reads or
    /// writes those in `rows` meanwhile, and an output index has `tokens` entries.
    ///
    /// # Panics
    /// When `weights` or `scratch` are shorter than the matrix and [`Self::scratch_bytes`], or `rows` ends past the
    /// matrix.
    pub unsafe fn run(
        &self,
        weights: &[u8],
        activations: *const u8,
        tokens: usize,
        rows: Range<usize>,
        out: OutputRows<'_>,
        scratch: &mut [u8],
    ) {
        assert!(rows.end <= self.rows, "rows {rows:?} of a matrix of {} rows", self.rows);
        assert!(self.row_bytes * self.rows <= weights.len(), "the weights are shorter than the matrix");
        assert!(self.scratch_bytes() <= scratch.len(), "the scratch is shorter than scratch_bytes");
        let scratch = scratch.as_mut_ptr();
        // SAFETY: scratch_bytes counts the bytes skipped here.
        let scratch = unsafe { scratch.add(scratch.align_offset(SCRATCH_ALIGNMENT)) };
        match &self.path {
            // SAFETY: the level was checked by `new`, lengths just now; the caller vouches for the rest.
            Path::Exact(exact) => unsafe { exact.run(weights, activations, tokens, rows, out, scratch) },
            // SAFETY: as above.
            Path::Half(half) => unsafe { half.run(weights, activations, tokens, rows, out, scratch) },
            // SAFETY: as above.
            Path::Wide(wide) => unsafe { wide.run(weights, activations, tokens, rows, out, scratch) },
            Path::Quantised(quantised) => {
                let task = quantised.task(weights, activations, tokens, out);
                // SAFETY: as above.
                unsafe { quantised.run(task, rows, scratch) }
            }
        }
    }
}

const SCRATCH_ALIGNMENT: usize = 64;
/// Tokens up to which the weights' way from memory is what takes the time.
const FEW_TOKENS: usize = 8;
/// Weights one generation work item should read, to amortise the start of its memory streams.
const STREAM_BYTES: usize = 64 << 10;
/// Rows of a prompt's work item: a decoded tile of the GEMM.
const TILE_ROWS: usize = 96;

impl InputRows<'_> {
    /// The row token `token` reads.
    ///
    /// # Safety
    /// `token` is below `tokens` and `data` holds its row.
    #[inline(always)]
    pub(crate) unsafe fn row(&self, token: usize) -> *const f32 {
        let row = self.index.map_or(token, |index| index[token] as usize);
        // SAFETY: the caller vouches for the row.
        unsafe { self.data.add(row * self.stride) }
    }
}

impl OutputRows<'_> {
    /// The row token `token` writes.
    ///
    /// # Safety
    /// `data` holds the token's row.
    #[inline(always)]
    pub(crate) unsafe fn row(&self, token: usize) -> *mut f32 {
        let row = self.index.map_or(token, |index| index[token] as usize);
        // SAFETY: the caller vouches for the row.
        unsafe { self.data.add(row * self.stride) }
    }
}
