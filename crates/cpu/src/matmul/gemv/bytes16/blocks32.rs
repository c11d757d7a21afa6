//! The frame for blocks of 32, 64 or 128: one group of 32 at a time, in the activations' own order.

use std::marker::PhantomData;

use super::super::{RowsDot, Scales};
use super::prefetch;
use crate::lanes::Lanes;
use crate::matmul::activation::RowView;
use crate::matmul::bytes16::{Bytes16, Stored};
use crate::matmul::integers::Offsets;

/// One block type, as the frame reads it.
pub(super) trait Block32 {
    const BYTES: usize;
    /// Groups of 32 in a block.
    const GROUPS: usize = 1;
    const SCALES: Scales = Scales::PerGroup;
    const STORED: Stored;
    /// The stored value that stands for zero.
    const ZERO: u8;
    const OFFSETS: Offsets;
    /// Stored values of a group, in order.
    unsafe fn values<V: Bytes16>(block: *const u8, group: usize) -> [V::Bytes; 2];
    /// The scale of a group, and the offset or the second half's scale if there is one.
    unsafe fn factors<V: Bytes16>(block: *const u8, group: usize) -> [f32; 2];
}

pub(super) struct Blocks32<V, B>(PhantomData<(V, B)>);

impl<V: Bytes16, B: Block32> RowsDot for Blocks32<V, B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        const {
            let plain = B::ZERO == 0 && matches!(B::OFFSETS, Offsets::None);
            assert!(matches!(B::SCALES, Scales::PerGroup) || plain, "halves have a scale and nothing else");
        }
        // SAFETY: blocks stay below cols / 32, which rows and views cover; the level is the caller's.
        unsafe {
            let mut sums = [[V::Floats::splat(0.0); T]; R];
            let mut offsets = [[0.0; T]; R];
            for group in 0..cols / 32 {
                let no_bytes = V::splat(0);
                let mut values = [[no_bytes; 2]; T];
                let mut above = [V::above(0, [no_bytes; 2]); T];
                for t in 0..T {
                    let at = x[t].values.add(32 * group).cast();
                    values[t] = [V::load(at), V::load(at.add(16))];
                    if B::ZERO != 0 {
                        above[t] = V::above(B::ZERO, values[t]);
                    }
                }
                for r in 0..R {
                    let (at, part) = (rows[r].add(group / B::GROUPS * B::BYTES), group % B::GROUPS);
                    if part == 0 {
                        prefetch::<V>(at);
                    }
                    let w = B::values::<V>(at, part);
                    let [scale, second] = B::factors::<V>(at, part);
                    for t in 0..T {
                        let of_x = *x[t].scales.add(group);
                        match B::SCALES {
                            Scales::PerGroup => {
                                let products = V::floats(V::dot32(B::STORED, B::ZERO, w, values[t], above[t]));
                                sums[r][t] = products.mul_add(V::Floats::splat(scale * of_x), sums[r][t]);
                            }
                            Scales::PerHalf => {
                                for (half, scale) in [scale, second].into_iter().enumerate() {
                                    let (w, x) = (w[half], values[t][half]);
                                    let products = V::floats(V::scaled_dot16(V::no_ints(), B::STORED, w, x, 1));
                                    sums[r][t] = products.mul_add(V::Floats::splat(scale * of_x), sums[r][t]);
                                }
                            }
                        }
                        if B::OFFSETS == Offsets::PerGroup {
                            offsets[r][t] += second * *x[t].scaled_sums.add(group);
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
