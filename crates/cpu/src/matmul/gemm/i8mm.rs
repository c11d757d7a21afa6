//! Sixteen tokens with Arm's 8-bit matrix products: two rows by two tokens of eight elements in one instruction.

use std::arch::aarch64::*;
use std::arch::asm;
use std::marker::PhantomData;

use super::frame::{TileKernel, add_group, add_partial};
use super::{Extent, GROUPS, Partial, Scaling, Tile};
use crate::lanes::{Lanes, Neon};
use crate::matmul::activation::{PanelView, TOKENS_PER_PANEL};
use crate::matmul::bytes16::Body;
use crate::matmul::integers::SPAN;

/// Pairs of rows multiplied together: divides half of a tile's rows.
const PAIRS: usize = 2;

pub(super) struct I8mm;

impl TileKernel for I8mm {
    unsafe fn multiply<S: Scaling>(tile: &Tile, extent: Extent<'_>, partial: *mut Partial) {
        // SAFETY: the caller vouches for the operands and the machine.
        unsafe { enter(Product::<S> { tile, extent, partial, scaling: PhantomData }) }
    }
}

#[target_feature(enable = "neon,dotprod,i8mm")]
unsafe fn enter<B: Body>(body: B) {
    // SAFETY: the caller vouches for the machine and the body.
    unsafe { body.run() }
}

/// Adds the four dot products of two rows and two tokens. The intrinsic for it is not stable yet.
#[inline(always)]
unsafe fn smmla(mut sums: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: an instruction on registers, which the machine has.
    unsafe {
        asm!("smmla {sums:v}.4s, {w:v}.16b, {x:v}.16b", sums = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// A tile times the panels of an extent.
struct Product<'a, S> {
    tile: &'a Tile,
    extent: Extent<'a>,
    partial: *mut Partial,
    scaling: PhantomData<S>,
}

impl<S: Scaling> Body for Product<'_, S> {
    #[inline(always)]
    unsafe fn run(self) {
        for panel in self.extent.in_turn() {
            let view = self.extent.panel(panel);
            for row in (0..self.extent.rows).step_by(2 * PAIRS) {
                // SAFETY: panels stay within the extent, rows below TILE_ROWS, a multiple of the step.
                unsafe { micro_kernel::<S>(self.tile, row, view, &self.extent, &mut *self.partial.add(panel)) };
            }
        }
    }
}

/// The rows from `row` on times a panel, over the columns of a tile.
#[inline(always)]
unsafe fn micro_kernel<S: Scaling>(
    tile: &Tile,
    row: usize,
    panel: PanelView,
    extent: &Extent<'_>,
    partial: &mut Partial,
) {
    // SAFETY: rows and columns stay within the tile, and the panel covers the columns.
    unsafe {
        let values = tile.values.as_ptr().add(row).cast::<i8>();
        let scales = tile.scales.as_ptr().add(row).cast::<f32>();
        let offsets = tile.offsets.as_ptr().add(row).cast::<f32>();
        let mut sums = [[Neon::splat(0.0); 4]; 2 * PAIRS];
        for group in 0..extent.cols / S::GROUP {
            // Of a pair of rows and a pair of tokens each.
            let mut dots = [[vdupq_n_s32(0); TOKENS_PER_PANEL / 2]; PAIRS];
            for k in (group * S::GROUP..(group + 1) * S::GROUP).step_by(8) {
                let x = panel.values.add(k * TOKENS_PER_PANEL).cast::<i32>();
                let mut tokens = [vdupq_n_s8(0); TOKENS_PER_PANEL / 2];
                for four in 0..4 {
                    // Elements k to k + 3 of four tokens, then k + 4 to k + 7: eight of each pair of tokens.
                    let (low, high) = (vld1q_s32(x.add(4 * four)), vld1q_s32(x.add(16 + 4 * four)));
                    tokens[2 * four] = vreinterpretq_s8_s32(vzip1q_s32(low, high));
                    tokens[2 * four + 1] = vreinterpretq_s8_s32(vzip2q_s32(low, high));
                }
                for (pair, dots) in dots.iter_mut().enumerate() {
                    let w = values.add(2 * pair * SPAN + k);
                    let w = vcombine_s8(vld1_s8(w), vld1_s8(w.add(SPAN)));
                    for (dot, x) in dots.iter_mut().zip(tokens) {
                        *dot = smmla(*dot, w, x);
                    }
                }
            }
            for (pair, dots) in dots.iter().enumerate() {
                for four in 0..4 {
                    let first = vreinterpretq_s64_s32(dots[2 * four]);
                    let second = vreinterpretq_s64_s32(dots[2 * four + 1]);
                    for (r, dots) in [vzip1q_s64(first, second), vzip2q_s64(first, second)].into_iter().enumerate() {
                        let (r, product) = (2 * pair + r, Neon(vcvtq_f32_s32(vreinterpretq_s32_s64(dots))));
                        let (scale, offset) = (scales.add(r * GROUPS + group), offsets.add(r * GROUPS + group));
                        let sum = &mut sums[r][four];
                        *sum = add_group::<S, Neon>(*sum, product, &panel, group, 4 * four, scale, offset);
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (four, sum) in sums.into_iter().enumerate() {
                let to = partial[row + r].as_mut_ptr().add(4 * four);
                add_partial::<S, Neon>(sum, panel.scales.add(4 * four), extent.begins(), to);
            }
        }
    }
}
