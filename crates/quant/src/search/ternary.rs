//! The split of a group into low, middle and high elements: the search behind IQ1_S and IQ1_M.
//!
//! With three values the best scale can be found exactly: elements in ascending order, every pair of places where the
//! values change, and the sums up to there. All groups of a super-block are searched side by side, one in each lane. Then
//! every eight elements take their point on the lattice, and the scale is fitted once more. Source: llama.cpp,
//! `quantize_row_iq1_s_impl`, `quantize_row_iq1_m_impl`.

use crate::lanes::{Lanes, Mask};
use crate::levels::Available;
use crate::search::lattice::Lattice;
use crate::search::nearest::Target;

/// The three values of a point under one shift, from the lowest: each is one more than the one before.
pub(crate) type Values = [f32; 3];
/// The values moved up by an eighth.
pub(crate) const UP: Values = [-0.875, 0.125, 1.125];
/// The values moved down by an eighth.
pub(crate) const DOWN: Values = [-1.125, -0.125, 0.875];

/// A group of elements and how much each counts.
pub(crate) struct Group<'a, const N: usize> {
    pub x: &'a [f32; N],
    pub weights: &'a [f32; N],
}

/// Sums over the elements of `G` groups in ascending order, for each of `P` equal parts of a group by itself: at `i` what
/// the first `i` elements of the group add up to. `M` is the number of elements and one.
pub(crate) struct Running<const G: usize, const M: usize, const P: usize> {
    /// Of the weighted elements.
    pub products: [[Lanes<G>; M]; P],
    /// Of the weights.
    pub weights: [[Lanes<G>; M]; P],
}

/// Where the values change, and under which variant of the shifts.
#[derive(Clone, Copy)]
pub(crate) struct Split {
    pub scale: f32,
    /// Elements, in ascending order, that have the lowest value.
    pub first: u8,
    /// Elements that have the lowest or the middle one.
    pub second: u8,
    pub variant: usize,
}

impl<const N: usize> Group<'_, N> {
    /// The place of each element in ascending order; equal ones keep theirs.
    #[inline(always)]
    pub(crate) fn ranks(&self) -> [u8; N] {
        let mut ranks = [0i32; N];
        for (j, &other) in self.x.iter().enumerate() {
            for (i, (rank, &x)) in ranks.iter_mut().zip(self.x).enumerate() {
                *rank += i32::from((other < x) | ((other == x) & (j < i)));
            }
        }
        // Numbers that are none have no order, and are nobody's business here but must not lead out of the group.
        ranks.map(|rank| (rank as usize).min(N - 1) as u8)
    }

    /// The weighted products of the values with the elements, and the weighted squares of the values, one after the other.
    #[inline(always)]
    pub(crate) fn add_sums(&self, values: impl Fn(usize) -> f32, sums: &mut (f32, f32)) {
        for i in 0..N {
            let (w, q) = (self.weights[i], values(i));
            sums.0 += w * q * self.x[i];
            sums.1 += w * q * q;
        }
    }
}

impl<const G: usize, const M: usize, const P: usize> Running<G, M, P> {
    /// The sums of the groups, whose elements have these ranks.
    #[inline(always)]
    pub(crate) fn new<const N: usize>(x: &[[f32; N]; G], weights: &[[f32; N]; G], ranks: &[[u8; N]; G]) -> Self {
        let mut sums = Running { products: [[Lanes::ZERO; M]; P], weights: [[Lanes::ZERO; M]; P] };
        for g in 0..G {
            for i in 0..N {
                let (part, place) = (i / (N / P), usize::from(ranks[g][i]) + 1);
                sums.products[part][place].0[g] = weights[g][i] * x[g][i];
                sums.weights[part][place].0[g] = weights[g][i];
            }
        }
        for part in 0..P {
            for j in 1..M {
                sums.products[part][j] = sums.products[part][j - 1] + sums.products[part][j];
                sums.weights[part][j] = sums.weights[part][j - 1] + sums.weights[part][j];
            }
        }
        sums
    }
}

/// The weighted products of the values with the elements, and the weighted squares of the values.
pub(crate) type Sums<const G: usize> = (Lanes<G>, Lanes<G>);

/// What every split of a group's `N` elements adds up to, under each of `V` variants of the shifts.
///
/// Methods, not closures: those would not be compiled for the instructions of the encoder that calls them.
pub(crate) trait Splits<const G: usize, const V: usize> {
    /// Elements of a group.
    const N: usize;

    /// Takes the place of the first change.
    fn start(&mut self, first: usize);

    /// The sums with this place of the second change.
    fn sums(&self, second: usize) -> [Sums<G>; V];
}

/// Whether these sums are better than the best score so far.
#[inline(always)]
fn better<const G: usize>(best: Lanes<G>, (product, square): Sums<G>) -> Mask<G> {
    square.gt(Lanes::ZERO).and((product * product).gt(best * square))
}

/// The best split of each group; `None` where no element counts.
#[inline(always)]
pub(crate) fn best_splits<const G: usize, const V: usize, S: Splits<G, V>>(mut splits: S) -> [Option<Split>; G] {
    let mut best = Lanes::splat(-f32::MAX);
    let mut scales = Lanes::ZERO;
    // First change, second change and variant in a byte each.
    let mut found = [u32::MAX; G];
    for first in 0..=S::N {
        splits.start(first);
        for second in first..=S::N {
            let sums = splits.sums(second);
            // Most places have nothing better, which is seen for all variants at once.
            let mut any = better(best, sums[0]);
            for &sums in &sums[1..] {
                any = any.or(better(best, sums));
            }
            if !any.any() {
                continue;
            }
            for (variant, (product, square)) in sums.into_iter().enumerate() {
                let better = better(best, (product, square));
                let scale = product / square;
                scales = better.select(scale, scales);
                best = better.select(scale * product, best);
                let here = (first << 16 | second << 8 | variant) as u32;
                for (found, better) in found.iter_mut().zip(better.0) {
                    *found = if better != 0 { here } else { *found };
                }
            }
        }
    }
    let mut splits = [None; G];
    for (g, split) in splits.iter_mut().enumerate() {
        let [variant, second, first, none] = found[g].to_le_bytes();
        *split = (none == 0).then_some(Split { scale: scales.0[g], first, second, variant: usize::from(variant) });
    }
    splits
}

impl Split {
    /// The level of each element, 0 to 2. A negative scale turns positive, and the levels with it.
    #[inline(always)]
    pub(crate) fn levels<const N: usize>(&mut self, ranks: &[u8; N], variants: usize) -> [u8; N] {
        let levels = ranks.map(|rank| u8::from(rank >= self.first) + u8::from(rank >= self.second));
        if self.scale >= 0.0 {
            return levels;
        }
        self.scale = -self.scale;
        // The variants are in such an order that the last has every shift of the first turned.
        self.variant = variants - 1 - self.variant;
        levels.map(|level| 2 - level)
    }
}

/// The index of the point of every eight elements, whose values are `values`, and the scale fitted to points that had to
/// be moved.
#[inline(always)]
pub(crate) fn points<const N: usize, const P: usize>(
    lattice: &Lattice<8, 2>,
    group: &Group<'_, N>,
    levels: &[u8; N],
    values: &[Values; P],
    scale: f32,
) -> ([u16; P], f32) {
    let mut moved = false;
    let available = Available::now();
    let mut codes = [0u16; P];
    for (k, code) in codes.iter_mut().enumerate() {
        *code = levels[8 * k..8 * k + 8].iter().rev().fold(0, |code, &level| code << 2 | u16::from(level));
        if !lattice.has(*code) {
            moved = true;
            let (x, weights) = (&group.x.as_chunks::<8>().0[k], &group.weights.as_chunks::<8>().0[k]);
            *code = lattice.nearest(available, *code, &Target { x, weights, scale, first: values[k][0], step: 1.0 });
        }
    }
    let mut scale = scale;
    if moved {
        let mut sums = (0.0, 0.0);
        group.add_sums(|i| values[i / 8][usize::from(codes[i / 8] >> (2 * (i % 8)) & 3)], &mut sums);
        if sums.0 > 0.0 && sums.1 > 0.0 {
            scale = sums.0 / sums.1;
        }
    }
    (codes.map(|code| lattice.index(code) as u16), scale)
}
