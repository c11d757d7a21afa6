//! The split of a group into low, middle and high elements: the search behind IQ1_S and IQ1_M.
//!
//! With three values the best scale can be found exactly: elements in ascending order, every pair of places where the
//! values change, and the sums up to there. Then every eight elements take their point on the lattice, and the scale is
//! fitted once more. Source: llama.cpp, `quantize_row_iq1_s_impl`, `quantize_row_iq1_m_impl`.

use std::array::from_fn;

use crate::search::lattice::Lattice;

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

/// Weighted products and weighted squares of the values, for each place of the second change.
pub(crate) type Sums<const M: usize> = ([f32; M], [f32; M]);

/// Where the values change, and under which variant of the shifts.
pub(crate) struct Split {
    pub scale: f32,
    /// Elements, in ascending order, that have the lowest value.
    pub first: usize,
    /// Elements that have the lowest or the middle one.
    pub second: usize,
    pub variant: usize,
}

impl<const N: usize> Group<'_, N> {
    /// The place of each element in ascending order; equal ones keep theirs.
    #[inline(always)]
    pub(crate) fn ranks(&self) -> [usize; N] {
        let mut ranks = [0i32; N];
        for (j, &other) in self.x.iter().enumerate() {
            for (i, (rank, &x)) in ranks.iter_mut().zip(self.x).enumerate() {
                *rank += i32::from((other < x) | ((other == x) & (j < i)));
            }
        }
        // Numbers that are none have no order, and are nobody's business here but must not lead out of the group.
        ranks.map(|rank| (rank as usize).min(N - 1))
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

/// The best of all splits; `sums` has those of each variant for a place of the first change, and `M` is the number of
/// elements and one. `None` where no element counts.
#[inline(always)]
pub(crate) fn best_split<const M: usize, const V: usize>(sums: impl Fn(usize) -> [Sums<M>; V]) -> Option<Split> {
    let (mut best, mut found) = (-f32::MAX, None);
    for first in 0..M {
        let sums = sums(first);
        // Most places have nothing better, which is seen for all at once.
        let mut better = false;
        for (products, squares) in &sums {
            for (product, square) in products.iter().zip(squares) {
                better |= (*square > 0.0) & (product * product > best * square);
            }
        }
        if !better {
            continue;
        }
        for second in first..M {
            for (variant, (products, squares)) in sums.iter().enumerate() {
                let (product, square) = (products[second], squares[second]);
                if square > 0.0 && product * product > best * square {
                    let scale = product / square;
                    best = scale * product;
                    found = Some(Split { scale, first, second, variant });
                }
            }
        }
    }
    found
}

impl Split {
    /// The level of each element, 0 to 2. A negative scale turns positive, and the levels with it.
    #[inline(always)]
    pub(crate) fn levels<const N: usize>(&mut self, ranks: &[usize; N], variants: usize) -> [u8; N] {
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
    let codes: [u16; P] = from_fn(|k| {
        let code = levels[8 * k..8 * k + 8].iter().rev().fold(0, |code, &level| code << 2 | u16::from(level));
        if lattice.has(code) {
            return code;
        }
        moved = true;
        let (x, weights) = (&group.x.as_chunks::<8>().0[k], &group.weights.as_chunks::<8>().0[k]);
        lattice.nearest(code, x, weights, scale, [values[k][0], 1.0])
    });
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
