//! Few tokens and plain float weights: rows are read in place, four streams at a time.
//!
//! As in [`crate::matmul::gemv`], memory speed is the limit; decoding to a scratch would only add traffic.

use std::ops::Range;

use super::plain::{Bf16Weights, F16Weights, F32Weights, PlainType, Weights};
use super::{Activations, OutputRows, block};
use crate::lanes::{Kernel, Lanes};

/// Some rows, read in place, times all tokens.
pub(super) struct Streamed<'a> {
    pub plain: PlainType,
    pub weights: &'a [u8],
    pub row_bytes: usize,
    pub cols: usize,
    pub x: Activations,
    pub tokens: usize,
    pub out: OutputRows<'a>,
    /// The weights have them, and the output of every token.
    pub rows: Range<usize>,
}

impl Kernel for Streamed<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the maker vouches for the operands.
        unsafe {
            match self.plain {
                PlainType::F32 => self.loops::<V, F32Weights>(),
                PlainType::F16 => self.loops::<V, F16Weights>(),
                PlainType::Bf16 => self.loops::<V, Bf16Weights>(),
            }
        }
    }
}

impl Streamed<'_> {
    #[inline(always)]
    unsafe fn loops<V: Lanes, W: Weights>(self) {
        let rows = self.rows.clone();
        let quarter = rows.len() / 4;
        for i in 0..quarter {
            let first = rows.start + i;
            let streams = [first, first + quarter, first + 2 * quarter, first + 3 * quarter];
            // SAFETY: rows stay within the product's.
            unsafe { all_tokens::<V, W, 4>(&self, streams) };
        }
        for row in rows.start + 4 * quarter..rows.end {
            // SAFETY: as above.
            unsafe { all_tokens::<V, W, 1>(&self, [row]) };
        }
    }
}

#[inline(always)]
unsafe fn all_tokens<V: Lanes, W: Weights, const R: usize>(product: &Streamed<'_>, rows: [usize; R]) {
    let mut token = 0;
    while token < product.tokens {
        // SAFETY: rows and tokens stay within the product.
        unsafe {
            token += match product.tokens - token {
                1 => some_tokens::<V, W, R, 1>(product, rows, token),
                _ => some_tokens::<V, W, R, 2>(product, rows, token),
            }
        }
    }
}

#[inline(always)]
unsafe fn some_tokens<V: Lanes, W: Weights, const R: usize, const T: usize>(
    product: &Streamed<'_>,
    rows: [usize; R],
    token: usize,
) -> usize {
    // SAFETY: the caller keeps rows and token + T within the product.
    unsafe {
        let mut pointers = [product.weights.as_ptr(); R];
        for (pointer, row) in pointers.iter_mut().zip(rows) {
            *pointer = pointer.add(row * product.row_bytes);
        }
        let x = Activations { data: product.x.data.add(token * product.x.stride), stride: product.x.stride };
        let sums = block::<V, W, R, T, true>(pointers, product.cols, x);
        for (row, sums) in rows.into_iter().zip(sums) {
            for (t, sum) in sums.into_iter().enumerate() {
                *product.out.row(token + t).add(row) = sum;
            }
        }
    }
    T
}
