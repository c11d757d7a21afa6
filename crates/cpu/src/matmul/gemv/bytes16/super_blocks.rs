//! The frame for super-blocks of 256: integer scales are multiplied in before the sums become floats.

use std::marker::PhantomData;

use super::super::RowsDot;
use super::prefetch;
use crate::lanes::Lanes;
use crate::matmul::activation::RowView;
use crate::matmul::bytes16::{Bytes16, Stored};

/// One super-block type, as the frame reads it.
pub(super) trait SuperBlock {
    const BYTES: usize;
    const STORED: Stored;
    const SCALES: ScaleOf;
    const CORRECTION: Correction;
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header;
    /// Stored values of the 32 elements `part`.
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2];
}

/// Elements that share an integer scale.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ScaleOf {
    Of16,
    Of32,
}

/// What is taken off the product of the stored values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    None,
    /// The stored values' zero, `1 << shift`, times the 16 scales.
    Zero {
        shift: usize,
    },
    /// Sixteen minimums of the scales' factor.
    Raised,
    /// Minimums of 8 sub-blocks, with a factor of their own.
    Minimums8,
    /// Minimums of 16 sub-blocks, with a factor of their own.
    Minimums16,
}

/// The scales of a super-block.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// Integer scales, in order.
    pub scales: [i16; 16],
    /// Factors of the activations' sums where they are minimums, in order.
    pub minimums: [i16; 16],
    /// The scale, and the factor of the minimums.
    pub factors: [f32; 2],
}

pub(super) struct SuperBlocks<V, B>(PhantomData<(V, B)>);

impl<V: Bytes16, B: SuperBlock> RowsDot for SuperBlocks<V, B> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        // SAFETY: blocks stay below cols / 256, which rows and views cover; the level is the caller's.
        unsafe {
            let mut products = [[V::Floats::splat(0.0); T]; R];
            let mut minimums = [[V::Floats::splat(0.0); T]; R];
            for block in 0..cols / 256 {
                for r in 0..R {
                    let at = rows[r].add(block * B::BYTES);
                    let header = B::header::<V>(at);
                    let mut sums = [V::no_ints(); T];
                    for part in 0..8 {
                        if part * 64 < B::BYTES {
                            prefetch::<V>(at.wrapping_add(part * 64));
                        }
                        let w = B::values::<V>(at, part);
                        for t in 0..T {
                            let x = x[t].values.add(block * 256 + part * 32).cast();
                            let x = [V::load(x), V::load(x.add(16))];
                            sums[t] = match B::SCALES {
                                ScaleOf::Of32 => V::scaled_dot32(sums[t], B::STORED, w, x, header.scales[part]),
                                ScaleOf::Of16 => {
                                    let first = header.scales[2 * part];
                                    let sum = V::scaled_dot16(sums[t], B::STORED, w[0], x[0], first);
                                    V::scaled_dot16(sum, B::STORED, w[1], x[1], header.scales[2 * part + 1])
                                }
                            };
                        }
                    }
                    for t in 0..T {
                        let of_x = *x[t].scales.add(block * 8);
                        let sums16 = x[t].sums16.add(block * 16);
                        let of_sixteen = |of_sums: &[i16; 16]| {
                            let first = V::words_dot(V::no_ints(), of_sums.as_ptr(), sums16);
                            V::words_dot(first, of_sums.as_ptr().add(8), sums16.add(8))
                        };
                        let below = match B::CORRECTION {
                            Correction::None => None,
                            Correction::Zero { shift } => {
                                let below = V::shift_left(of_sixteen(&header.scales), shift);
                                sums[t] = V::sub(sums[t], below);
                                None
                            }
                            Correction::Raised => {
                                sums[t] = V::sub(sums[t], of_sixteen(&header.minimums));
                                None
                            }
                            Correction::Minimums8 => {
                                let sums32 = x[t].sums32.add(block * 8);
                                Some(V::words_dot(V::no_ints(), header.minimums.as_ptr(), sums32))
                            }
                            Correction::Minimums16 => Some(of_sixteen(&header.minimums)),
                        };
                        if let Some(below) = below {
                            let factor = V::Floats::splat(header.factors[1] * of_x);
                            minimums[r][t] = V::floats(below).mul_add(factor, minimums[r][t]);
                        }
                        let factor = V::Floats::splat(header.factors[0] * of_x);
                        products[r][t] = V::floats(sums[t]).mul_add(factor, products[r][t]);
                    }
                }
            }
            let mut out = [[0.0; T]; R];
            for r in 0..R {
                for t in 0..T {
                    out[r][t] = products[r][t].sub(minimums[r][t]).sum();
                }
            }
            out
        }
    }
}
