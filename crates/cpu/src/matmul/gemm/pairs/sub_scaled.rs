//! Super-blocks whose groups' scales are small integers times one factor, by pairs of products.
//!
//! The instruction that adds two sums of 16 bits multiplies them as well: with the scale of their group, so that sums
//! stay integers to the end of the block. Offsets are integers that meet the sums of two groups' activations at once; what
//! makes values unsigned is an offset too, and shares the scales' factor.

use std::marker::PhantomData;

use ascua_gguf::TensorType;

use super::{Gemm, Multiply, Pairs, UnsignedKinds};
use crate::lanes::Lanes;
use crate::matmul::activation::{PanelView, Panels, TOKENS_PER_PANEL};
use crate::matmul::bytes16::Body;
use crate::matmul::gemm::frame::add_partial;
use crate::matmul::gemm::{Extent, GROUPS, Partial, Super32, Tile, Weights};
use crate::matmul::integers::{
    IntegerBlock, IntegerFormat, Iq4Xs, Offsets, Q2K, Q3K, Q4K, Q5K, Q6K, SPAN, SubScaled, half_to_f32,
};

/// The kernels of a type of few bits, `R` rows by `H` vectors of tokens, if it has such scales.
pub(super) fn gemm<K: UnsignedKinds, const R: usize, const H: usize>(weight: TensorType) -> Option<Gemm> {
    Some(match weight {
        TensorType::Q2_K => of::<Q2K, K::FourBits, R, H>(),
        TensorType::Q3_K => of::<Q3K, K::FourBits, R, H>(),
        TensorType::Q4_K => of::<Q4K, K::FourBits, R, H>(),
        TensorType::Q5_K => of::<Q5K, K::FiveBits, R, H>(),
        TensorType::Q6_K => of::<Q6K, K::SixBits, R, H>(),
        _ => return None,
    })
}

/// The same of types whose values keep their sign.
pub(super) fn signed<M: Pairs, const R: usize, const H: usize>(weight: TensorType) -> Option<Gemm> {
    (weight == TensorType::IQ4_XS).then(of::<Iq4Xs, M, R, H>)
}

fn of<B: SubScaled, M: Pairs, const R: usize, const H: usize>() -> Gemm {
    Gemm { decode: decode::<B, M>, multiply: multiply::<B, M, R, H>, panels: Panels::Signed }
}

/// What is added to values of few bits, so that none is negative.
const fn zero<B: IntegerBlock>() -> i8 {
    let few = B::RANGE.1 as i16 - B::RANGE.0 as i16 <= 63;
    // Offsets of a factor of their own leave no room for it.
    assert!(!few || B::RANGE.0 == 0 || matches!(B::OFFSETS, Offsets::None));
    if few { -B::RANGE.0 } else { 0 }
}

/// How a block's offsets are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Nothing,
    /// Of the scales' factor.
    Zero,
    /// Of a factor of their own.
    Offsets,
}

const fn below<B: IntegerBlock>() -> Below {
    match B::OFFSETS {
        Offsets::PerGroup => Below::Offsets,
        Offsets::None if zero::<B>() != 0 => Below::Zero,
        Offsets::None => Below::Nothing,
    }
}

/// # Safety
/// As [`super::super::DecodeTile`], on a machine with the level of `M`.
unsafe fn decode<B: SubScaled, M: Multiply>(_: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    // SAFETY: the caller vouches for the machine.
    unsafe { M::enter(Decode::<B> { weights: weights.of_bytes(B::BYTES), tile, kind: PhantomData }) }
}

struct Decode<'a, B> {
    weights: Weights<'a>,
    tile: &'a mut Tile,
    kind: PhantomData<B>,
}

impl<B: SubScaled> Body for Decode<'_, B> {
    #[inline(always)]
    unsafe fn run(self) {
        let Decode { weights, tile, .. } = self;
        let (groups, zero) = (SPAN / B::GROUP, const { zero::<B>() });
        for row in 0..weights.rows {
            let block = weights.row(row);
            let (mut sub_scales, mut sub_offsets) = ([0i16; GROUPS], [0i16; GROUPS]);
            let factors = B::sub_scales(block, &mut sub_scales[..groups], &mut sub_offsets[..groups]);
            let of_scales = half_to_f32(factors.scales);
            let mut of_offsets = half_to_f32(factors.offsets);
            // Nothing else is there, so that the compiler reads and writes by vectors.
            let mut values = [0; SPAN];
            // SAFETY: levels that add by pairs have byte shuffles.
            unsafe { B::values_shuffled(block, &mut values) };
            if zero != 0 {
                of_offsets = of_scales;
                for value in &mut values {
                    *value += zero;
                }
                for (offset, scale) in sub_offsets.iter_mut().zip(&sub_scales) {
                    *offset = -i16::from(zero) * scale;
                }
            }
            for group in 0..GROUPS {
                // Both halves are the scale.
                tile.sub_scales[row][group] = u32::from(sub_scales[group] as u16) * 0x0001_0001;
                tile.scales[row][group] = of_scales * f32::from(sub_scales[group]);
                tile.offsets[row][group] = of_offsets * f32::from(sub_offsets[group]);
            }
            tile.values[row] = values;
            tile.offset_integers[row] = sub_offsets;
            (tile.factors[row], tile.offset_factors[row]) = (of_scales, of_offsets);
        }
    }
}

/// # Safety
/// As [`super::super::MultiplyTile`], on a machine with the level of `M`.
unsafe fn multiply<B: SubScaled, M: Pairs, const R: usize, const H: usize>(
    tile: &Tile,
    extent: Extent<'_>,
    partial: *mut Partial,
) {
    // SAFETY: the caller vouches for the operands and the machine.
    unsafe { M::enter(Product::<B, M, R, H> { tile, extent, partial, kind: PhantomData }) }
}

struct Product<'a, B, M, const R: usize, const H: usize> {
    tile: &'a Tile,
    extent: Extent<'a>,
    partial: *mut Partial,
    kind: PhantomData<(B, M)>,
}

impl<B: SubScaled, M: Pairs, const R: usize, const H: usize> Body for Product<'_, B, M, R, H> {
    #[inline(always)]
    unsafe fn run(self) {
        let Product { tile, extent, partial, .. } = self;
        for panel in extent.in_turn() {
            let view = extent.panel(panel);
            // SAFETY: panels stay within the extent.
            let partial = unsafe { &mut *partial.add(panel) };
            for row in (0..extent.rows).step_by(R) {
                for token in (0..TOKENS_PER_PANEL).step_by(H * M::Floats::LANES) {
                    // Rows beyond those in use hold values of an earlier tile; their results are never stored.
                    // SAFETY: rows stay below TILE_ROWS, a multiple of R, and the panel has whole blocks.
                    unsafe { micro_kernel::<B, M, R, H>(tile, row, &view, token, &extent, partial) };
                }
            }
        }
    }
}

/// `R` rows from `row` on times `H` vectors of a panel's tokens, over a block.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn micro_kernel<B: SubScaled, M: Pairs, const R: usize, const H: usize>(
    tile: &Tile,
    row: usize,
    panel: &PanelView,
    token: usize,
    extent: &Extent<'_>,
    partial: &mut Partial,
) {
    let lanes = M::Floats::LANES;
    // SAFETY: rows stay within the tile, and the panel covers the block.
    unsafe {
        let mut totals = [[M::start(0); H]; R];
        let mut sums = [[M::Floats::splat(0.0); H]; R];
        if below::<B>() != Below::Nothing {
            totals = offsets::<B, M, R, H>(tile, row, panel, token, extent.cols / B::GROUP);
        }
        if below::<B>() == Below::Offsets {
            for r in 0..R {
                let factor = M::Floats::splat(tile.offset_factors[row + r]);
                for h in 0..H {
                    sums[r][h] = M::floats(totals[r][h]).mul(factor);
                    totals[r][h] = M::start(0);
                }
            }
        }
        let steps = const { if M::STEPS < B::GROUP / 4 { M::STEPS } else { B::GROUP / 4 } };
        let values = tile.values.as_ptr().add(row).cast::<i8>();
        let sub_scales = tile.sub_scales.as_ptr().add(row).cast::<i32>();
        for group in 0..SPAN / B::GROUP {
            let mut scales = [M::factors(0); R];
            for r in 0..R {
                scales[r] = M::factors(*sub_scales.add(r * GROUPS + group));
            }
            for part in 0..B::GROUP / 4 / steps {
                let mut partials = [[M::open(M::start(0)); H]; R];
                let first = group * B::GROUP / 4 + part * steps;
                for k in first..first + steps {
                    let x = panel.values.add(k * 64 + 4 * token);
                    let mut xs = [M::load(x); H];
                    for h in 1..H {
                        xs[h] = M::load(x.add(h * lanes * 4));
                    }
                    for r in 0..R {
                        let w = M::broadcast(values.add(r * SPAN + 4 * k).cast::<i32>().read_unaligned());
                        for h in 0..H {
                            partials[r][h] = M::step(partials[r][h], w, xs[h]);
                        }
                    }
                }
                for r in 0..R {
                    for h in 0..H {
                        totals[r][h] = M::add_scaled(totals[r][h], partials[r][h], scales[r]);
                    }
                }
            }
        }
        for r in 0..R {
            let factor = M::Floats::splat(tile.factors[row + r]);
            for h in 0..H {
                let at = token + h * lanes;
                let sum = M::floats(totals[r][h]).mul_add(factor, sums[r][h]);
                let to = partial[row + r].as_mut_ptr().add(at);
                add_partial::<Super32, M::Floats>(sum, panel.scales.add(at), extent.begins(), to);
            }
        }
    }
}

/// The part of the offsets, but for factors. The number of groups comes at run time, so that the compiler does not unroll
/// their loop: it would keep all their vectors on the stack.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn offsets<B: SubScaled, M: Pairs, const R: usize, const H: usize>(
    tile: &Tile,
    row: usize,
    panel: &PanelView,
    token: usize,
    groups: usize,
) -> [[M::Ints; H]; R] {
    // SAFETY: as above.
    unsafe {
        let of_x = if B::GROUP == 32 { panel.pairs32 } else { panel.pairs16 };
        let offsets = tile.offset_integers.as_ptr().add(row).cast::<i32>();
        let mut totals = [[M::start(0); H]; R];
        for pair in 0..groups / 2 {
            let of_x = of_x.add(2 * (pair * TOKENS_PER_PANEL + token));
            for h in 0..H {
                let of_x = M::load_pairs(of_x.add(2 * h * M::Floats::LANES));
                for r in 0..R {
                    totals[r][h] = M::add_scaled(totals[r][h], of_x, M::factors(*offsets.add(r * (GROUPS / 2) + pair)));
                }
            }
        }
        totals
    }
}
