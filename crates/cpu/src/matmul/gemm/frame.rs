//! The product of a tile with panels, for any length of vector: some rows by some of a panel's tokens at a time.
//!
//! A level gives a [`Multiply`] for each kind of weights it tells apart, and chooses among the formats' scalings with
//! [`signed`] or [`unsigned`].

use std::marker::PhantomData;

use super::{
    ActivationScales, Extent, GROUPS, Legacy, Legacy16, Legacy16Offset, LegacyOffset, MultiplyTile, Partial, Scaling,
    Super16, Super16Offset, Super32, Super32Offset, Tile, Weights, decode,
};
use crate::lanes::Lanes;
use crate::matmul::activation::{PanelView, TOKENS_PER_PANEL};
use crate::matmul::bytes16::Body;
use crate::matmul::integers::{IntegerFormat, Offsets, SPAN};

/// How a level multiplies bytes of one kind of weights. Lanes are tokens, with four elements each.
///
/// # Safety
/// Every function may be called where the machine has the level.
pub(super) trait Multiply {
    type Bytes: Copy;
    /// Sums of 32 bits, one per token.
    type Ints: Copy;
    type Floats: Lanes;
    /// Sums on their way to 32 bits.
    type Partial: Copy;
    /// Steps of four elements that `Partial` has room for: divides the four or eight of a group.
    const STEPS: usize;
    /// Whether integer sums begin with the start values of the tile.
    const STARTS: bool = false;

    /// Runs a body with the level's instructions enabled.
    unsafe fn enter<B: Body>(body: B);
    /// A vector of the panel.
    unsafe fn load(from: *const u8) -> Self::Bytes;
    /// Four weights, for every token.
    unsafe fn broadcast(four: i32) -> Self::Bytes;
    unsafe fn start(value: i32) -> Self::Ints;
    /// Sums of 32 bits, of which the next steps take their start.
    unsafe fn open(sums: Self::Ints) -> Self::Partial;
    /// One step.
    unsafe fn step(partial: Self::Partial, w: Self::Bytes, x: Self::Bytes) -> Self::Partial;
    /// The sums after the steps, given those before.
    unsafe fn close(sums: Self::Ints, partial: Self::Partial) -> Self::Ints;
    unsafe fn floats(sums: Self::Ints) -> Self::Floats;
}

/// What more a level does with pairs of 16 bits.
///
/// # Safety
/// As [`Multiply`].
pub(super) trait Pairs: Multiply {
    /// Sums of two groups' activations for every token.
    unsafe fn load_pairs(from: *const i16) -> Self::Partial;
    /// Two halves, for every token.
    unsafe fn factors(both: i32) -> Self::Partial;
    /// Adds both halves of every token's pair, times those of the factors.
    unsafe fn add_scaled(sums: Self::Ints, pairs: Self::Partial, factors: Self::Partial) -> Self::Ints;
}

/// The kinds of weights of a level that multiplies unsigned by signed bytes in 16 bits.
pub(super) trait UnsignedKinds {
    /// At most 15: eight steps fit 16 bits.
    type FourBits: Pairs;
    /// At most 31: four.
    type FiveBits: Pairs;
    /// At most 63: two.
    type SixBits: Pairs;
    /// At most 127: one.
    type SevenBits: Pairs;
}

/// A way to multiply tiles, for any scaling.
pub(super) trait TileKernel {
    /// # Safety
    /// As [`MultiplyTile`].
    unsafe fn multiply<S: Scaling>(tile: &Tile, extent: Extent<'_>, partial: *mut Partial);
}

/// The frame with a level's [`Multiply`]: `R` rows by `H` vectors of tokens, of which both divide theirs.
pub(super) struct Framed<M, const R: usize, const H: usize>(PhantomData<M>);

impl<M: Multiply, const R: usize, const H: usize> TileKernel for Framed<M, R, H> {
    unsafe fn multiply<S: Scaling>(tile: &Tile, extent: Extent<'_>, partial: *mut Partial) {
        // SAFETY: the caller vouches for the operands and the machine.
        unsafe { M::enter(Product::<M, S, R, H> { tile, extent, partial, kind: PhantomData }) }
    }
}

/// The kernel of a format where weights are multiplied as they are.
pub(super) fn signed<K: TileKernel>(format: IntegerFormat) -> Option<MultiplyTile> {
    Some(match (format.block_len, format.group, format.offsets) {
        (256, 32, Offsets::None) => K::multiply::<Super32>,
        (256, 32, Offsets::PerGroup) => K::multiply::<Super32Offset>,
        (256, 16, Offsets::None) => K::multiply::<Super16>,
        (256, 16, Offsets::PerGroup) => K::multiply::<Super16Offset>,
        (_, 32, Offsets::None) => K::multiply::<Legacy>,
        (_, 32, Offsets::PerGroup) => K::multiply::<LegacyOffset>,
        (_, 16, Offsets::None) => K::multiply::<Legacy16>,
        _ => return None,
    })
}

/// The kernel of a format of at most seven bits, which are made unsigned by [`decode_unsigned`].
pub(super) fn unsigned<K: UnsignedKinds, const R: usize, const H: usize>(
    format: IntegerFormat,
) -> Option<MultiplyTile> {
    Some(match (format.block_len, format.group, range(&format)) {
        (256, 32, 0..=15) => Framed::<K::FourBits, R, H>::multiply::<Super32Offset>,
        (256, 32, 16..=31) => Framed::<K::FiveBits, R, H>::multiply::<Super32Offset>,
        (256, 32, 32..=63) => Framed::<K::SixBits, R, H>::multiply::<Super32Offset>,
        // Their groups have four steps, not eight.
        (256, 16, 0..=31) => Framed::<K::FiveBits, R, H>::multiply::<Super16Offset>,
        (256, 16, 32..=63) => Framed::<K::SixBits, R, H>::multiply::<Super16Offset>,
        (256, 32, 64..=127) => Framed::<K::SevenBits, R, H>::multiply::<Super32Offset>,
        (256, 16, 64..=127) => Framed::<K::SevenBits, R, H>::multiply::<Super16Offset>,
        (_, 32, 0..=15) => Framed::<K::FourBits, R, H>::multiply::<LegacyOffset>,
        (_, 32, 16..=31) => Framed::<K::FiveBits, R, H>::multiply::<LegacyOffset>,
        (_, 32, 32..=63) => Framed::<K::SixBits, R, H>::multiply::<LegacyOffset>,
        (_, 16, 0..=31) => Framed::<K::FiveBits, R, H>::multiply::<Legacy16Offset>,
        _ => return None,
    })
}

fn range(format: &IntegerFormat) -> i16 {
    i16::from(format.largest) - i16::from(format.smallest)
}

/// A tile times the panels of an extent.
struct Product<'a, M, S, const R: usize, const H: usize> {
    tile: &'a Tile,
    extent: Extent<'a>,
    partial: *mut Partial,
    kind: PhantomData<(M, S)>,
}

impl<M: Multiply, S: Scaling, const R: usize, const H: usize> Body for Product<'_, M, S, R, H> {
    #[inline(always)]
    unsafe fn run(self) {
        for panel in self.extent.in_turn() {
            let view = self.extent.panel(panel);
            for row in (0..self.extent.rows).step_by(R) {
                for token in (0..TOKENS_PER_PANEL).step_by(H * M::Floats::LANES) {
                    // SAFETY: panels stay within the extent, rows below TILE_ROWS, a multiple of R.
                    unsafe {
                        let partial = &mut *self.partial.add(panel);
                        micro_kernel::<M, S, R, H>(self.tile, row, view, token, &self.extent, partial);
                    }
                }
            }
        }
    }
}

/// `R` rows from `row` on times `H` vectors of a panel's tokens, over the columns of a tile.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn micro_kernel<M: Multiply, S: Scaling, const R: usize, const H: usize>(
    tile: &Tile,
    row: usize,
    panel: PanelView,
    token: usize,
    extent: &Extent<'_>,
    partial: &mut Partial,
) {
    let lanes = M::Floats::LANES;
    // SAFETY: rows and columns stay within the tile, and the panel covers the columns.
    unsafe {
        let values = tile.values.as_ptr().add(row).cast::<i8>();
        let scales = tile.scales.as_ptr().add(row).cast::<f32>();
        let offsets = tile.offsets.as_ptr().add(row).cast::<f32>();
        let starts = tile.starts.as_ptr().add(row).cast::<i32>();
        let mut sums = [[M::Floats::splat(0.0); H]; R];
        for group in 0..extent.cols / S::GROUP {
            let mut dots = [[M::start(0); H]; R];
            if M::STARTS {
                for (r, dots) in dots.iter_mut().enumerate() {
                    dots.fill(M::start(*starts.add(r * GROUPS + group)));
                }
            }
            for step in 0..S::GROUP / 4 / M::STEPS {
                // Loops and no closures: those would not have the level's instructions.
                let mut partials = [[M::open(M::start(0)); H]; R];
                for r in 0..R {
                    for h in 0..H {
                        partials[r][h] = M::open(dots[r][h]);
                    }
                }
                for k in step * M::STEPS..(step + 1) * M::STEPS {
                    let x = panel.values.add((group * S::GROUP / 4 + k) * 64 + 4 * token);
                    let mut xs = [M::load(x); H];
                    for h in 1..H {
                        xs[h] = M::load(x.add(h * lanes * 4));
                    }
                    for r in 0..R {
                        let w = values.add(r * SPAN + group * S::GROUP + 4 * k).cast::<i32>().read_unaligned();
                        let w = M::broadcast(w);
                        for h in 0..H {
                            partials[r][h] = M::step(partials[r][h], w, xs[h]);
                        }
                    }
                }
                for r in 0..R {
                    for h in 0..H {
                        dots[r][h] = M::close(dots[r][h], partials[r][h]);
                    }
                }
            }
            for h in 0..H {
                let at = token + h * lanes;
                for r in 0..R {
                    let product = M::floats(dots[r][h]);
                    let (scale, offset) = (scales.add(r * GROUPS + group), offsets.add(r * GROUPS + group));
                    sums[r][h] = add_group::<S, M::Floats>(sums[r][h], product, &panel, group, at, scale, offset);
                }
            }
        }
        for h in 0..H {
            let at = token + h * lanes;
            for r in 0..R {
                let to = partial[row + r].as_mut_ptr().add(at);
                add_partial::<S, M::Floats>(sums[r][h], panel.scales.add(at), extent.begins(), to);
            }
        }
    }
}

/// Adds the scaled product of a group to the sums of some tokens, from `token` on.
#[inline(always)]
pub(super) unsafe fn add_group<S: Scaling, F: Lanes>(
    sum: F,
    product: F,
    panel: &PanelView,
    group: usize,
    token: usize,
    scale: *const f32,
    offset: *const f32,
) -> F {
    // SAFETY: the panel covers the group and the tokens; the scale and, where there is one, the offset are readable.
    unsafe {
        let product = match S::ACTIVATIONS {
            ActivationScales::PerGroup => {
                product.mul(F::load(panel.scales.add(group * S::GROUP / 32 * TOKENS_PER_PANEL + token)))
            }
            ActivationScales::PerSpan => product,
        };
        let sum = product.mul_add(F::splat(*scale), sum);
        if S::OFFSETS == Offsets::None {
            return sum;
        }
        let of_x = if S::GROUP == 32 { panel.sums32 } else { panel.sums16 };
        F::load(of_x.add(group * TOKENS_PER_PANEL + token)).mul_add(F::splat(*offset), sum)
    }
}

/// Adds sums over a tile's columns to the partial results, which may begin with them.
#[inline(always)]
pub(super) unsafe fn add_partial<S: Scaling, F: Lanes>(sum: F, scales: *const f32, begins: bool, to: *mut f32) {
    // SAFETY: the caller has a vector's scales and results there.
    unsafe {
        let before = if begins { F::splat(0.0) } else { F::load(to) };
        let after = match S::ACTIVATIONS {
            ActivationScales::PerGroup => before.add(sum),
            ActivationScales::PerSpan => sum.mul_add(F::load(scales), before),
        };
        after.store(to);
    }
}

/// Decodes weights of at most seven bits, and makes them unsigned.
///
/// # Safety
/// As [`super::DecodeTile`], on a machine with the level of `M`.
pub(super) unsafe fn decode_unsigned<M: Multiply>(format: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    // SAFETY: passed on.
    unsafe {
        decode(format, weights, tile);
        if format.smallest != 0 {
            M::enter(Unsigned { zero: -format.smallest, rows: weights.rows, tile });
        }
    }
}

struct Unsigned<'a> {
    zero: i8,
    rows: usize,
    tile: &'a mut Tile,
}

impl Body for Unsigned<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Unsigned { zero, rows, tile } = self;
        for row in 0..rows {
            for value in &mut tile.values[row] {
                // Columns that are not in use hold what an earlier tile left.
                *value = value.wrapping_add(zero);
            }
            for (offset, scale) in tile.offsets[row].iter_mut().zip(&tile.scales[row]) {
                *offset -= f32::from(zero) * scale;
            }
        }
    }
}

/// Decodes weights, and fills the start values that make up for activations raised by 128.
///
/// # Safety
/// As [`super::DecodeTile`], on a machine with the level of `M`.
pub(super) unsafe fn decode_with_starts<M: Multiply>(format: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    // SAFETY: passed on.
    unsafe {
        decode(format, weights, tile);
        M::enter(Starts { group: format.group, rows: weights.rows, tile });
    }
}

struct Starts<'a> {
    group: usize,
    rows: usize,
    tile: &'a mut Tile,
}

impl Body for Starts<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Starts { group, rows, tile } = self;
        for (values, starts) in tile.values.iter().zip(&mut tile.starts).take(rows) {
            let mut sixteens = [0i32; GROUPS];
            for (sum, values) in sixteens.iter_mut().zip(values.as_chunks::<16>().0) {
                *sum = -128 * values.iter().map(|value| i32::from(*value)).sum::<i32>();
            }
            match group {
                16 => *starts = sixteens,
                _ => (0..GROUPS / 2).for_each(|group| starts[group] = sixteens[2 * group] + sixteens[2 * group + 1]),
            }
        }
    }
}
