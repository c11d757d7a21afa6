//! The frame for blocks of 32: one block at a time, in the activations' own order.

use std::marker::PhantomData;

use super::super::RowsDot;
use super::prefetch;
use crate::lanes::Lanes;
use crate::matmul::activation::RowView;
use crate::matmul::bytes16::{Bytes16, Stored};
use crate::matmul::integers::Offsets;

/// One block type, as the frame reads it.
pub(super) trait Block32 {
    const BYTES: usize;
    const STORED: Stored;
    /// The stored value that stands for zero.
    const ZERO: u8;
    const OFFSETS: Offsets;
    /// Stored values in order.
    unsafe fn values<V: Bytes16>(block: *const u8) -> [V::Bytes; 2];
    /// The scale, and the offset if there is one.
    unsafe fn factors<V: Bytes16>(block: *const u8) -> [f32; 2];
}

pub(super) struct Blocks32<V, B>(PhantomData<(V, B)>);

impl<V: Bytes16, B: Block32> RowsDot for Blocks32<V, B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        // SAFETY: blocks stay below cols / 32, which rows and views cover; the level is the caller's.
        unsafe {
            let mut sums = [[V::Floats::splat(0.0); T]; R];
            let mut offsets = [[0.0; T]; R];
            for block in 0..cols / 32 {
                let no_bytes = V::splat(0);
                let mut values = [[no_bytes; 2]; T];
                let mut above = [V::above(0, [no_bytes; 2]); T];
                for t in 0..T {
                    let at = x[t].values.add(32 * block).cast();
                    values[t] = [V::load(at), V::load(at.add(16))];
                    if B::ZERO != 0 {
                        above[t] = V::above(B::ZERO, values[t]);
                    }
                }
                for r in 0..R {
                    let at = rows[r].add(block * B::BYTES);
                    prefetch::<V>(at);
                    let w = B::values::<V>(at);
                    let [scale, offset] = B::factors::<V>(at);
                    for t in 0..T {
                        let products = V::floats(V::dot32(B::STORED, B::ZERO, w, values[t], above[t]));
                        let scale = V::Floats::splat(scale * *x[t].scales.add(block));
                        sums[r][t] = products.mul_add(scale, sums[r][t]);
                        if B::OFFSETS == Offsets::PerGroup {
                            offsets[r][t] += offset * *x[t].scaled_sums.add(block);
                        }
                    }
                }
            }
            let mut out = offsets;
            for r in 0..R {
                for t in 0..T {
                    out[r][t] += sums[r][t].sum();
                }
            }
            out
        }
    }
}
