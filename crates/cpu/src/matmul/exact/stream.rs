//! Few tokens and plain float weights: rows are read in place, four streams at a time.
//!
//! As in [`crate::matmul::gemv`], memory speed is the limit; decoding to a scratch would only add traffic.

use std::ops::Range;

use super::{Activations, FloatVector, OutputRows, Weights, block};

/// Some rows times all tokens; sound to call on a machine with the level the kernel was made for.
pub(super) type StreamRows = unsafe fn(product: Streamed<'_>, rows: Range<usize>);

/// The operands of a product whose weights are read in place.
#[derive(Clone, Copy)]
pub(super) struct Streamed<'a> {
    pub weights: &'a [u8],
    pub row_bytes: usize,
    pub cols: usize,
    pub x: Activations,
    pub tokens: usize,
    pub out: OutputRows<'a>,
}

/// # Safety
/// The weights have `rows`, the activations `tokens`, and the output both.
#[inline(always)]
pub(super) unsafe fn stream_loops<V: FloatVector, W: Weights<V>>(product: Streamed<'_>, rows: Range<usize>) {
    let quarter = rows.len() / 4;
    for i in 0..quarter {
        let first = rows.start + i;
        // SAFETY: rows stay within the caller's.
        unsafe { all_tokens::<V, W, 4>(&product, [first, first + quarter, first + 2 * quarter, first + 3 * quarter]) };
    }
    for row in rows.start + 4 * quarter..rows.end {
        // SAFETY: as above.
        unsafe { all_tokens::<V, W, 1>(&product, [row]) };
    }
}

#[inline(always)]
unsafe fn all_tokens<V: FloatVector, W: Weights<V>, const R: usize>(product: &Streamed<'_>, rows: [usize; R]) {
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
unsafe fn some_tokens<V: FloatVector, W: Weights<V>, const R: usize, const T: usize>(
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
        let sums = block::<V, W, R, T>(pointers, product.cols, x);
        for (row, sums) in rows.into_iter().zip(sums) {
            for (t, sum) in sums.into_iter().enumerate() {
                *product.out.row(token + t).add(row) = sum;
            }
        }
    }
    T
}
