//! The scale of a group whose integers are signed: `x = scale * q`, with `q` from `-half` to `half - 1`.
//!
//! The value farthest from zero is put near the far end of the range at nineteen places; for each, the integers are fixed
//! and the scale is that of the weighted least squares. Used by Q6_K, by Q3_K, Q4_0 and Q5_0 with importance. Source:
//! llama.cpp, `make_qx_quants`. [`descend`] is the search of Q3_K without importance: `make_q3_quants`.

use std::array::from_fn;

use crate::lanes::{Lanes, Mask};

/// Below this, a group counts as all zero.
pub(crate) const NOTHING: f32 = 1e-15;

/// Places tried besides the end of the range: up to nine tenths of a step on either side.
const PLACES: [f32; 18] =
    [-9.0, -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

/// What was found for each group.
pub(crate) struct Signed<const G: usize> {
    pub scale: Lanes<G>,
    half: f32,
    inverse: Lanes<G>,
    nothing: Mask<G>,
}

/// Searches all groups at once.
#[inline(always)]
pub(crate) fn find<const G: usize, const N: usize>(x: &[Lanes<G>; N], weights: &[Lanes<G>; N], half: f32) -> Signed<G> {
    let farthest = farthest_from_zero(x);
    let nothing = farthest.abs().lt(Lanes::splat(NOTHING));
    let mut inverse = Lanes::splat(-half) / farthest;
    let (sum_lx, sum_l2) = sums(x, weights, half, inverse);
    let mut scale = sum_l2.ne(Lanes::ZERO).select(sum_lx / sum_l2, Lanes::ZERO);
    let mut best = scale * sum_lx;
    for place in PLACES {
        let tried = Lanes::splat(-(half + 0.1 * place)) / farthest;
        let (sum_lx, sum_l2) = sums(x, weights, half, tried);
        let better = sum_l2.gt(Lanes::ZERO).and((sum_lx * sum_lx).gt(best * sum_l2));
        scale = better.select(sum_lx / sum_l2, scale);
        best = better.select(scale * sum_lx, best);
        inverse = better.select(tried, inverse);
    }
    Signed { scale: nothing.select(Lanes::ZERO, scale), half, inverse, nothing }
}

/// The sums of weighted products with the integers under a scale, and of the weighted integers' squares.
#[inline(always)]
fn sums<const G: usize, const N: usize>(
    x: &[Lanes<G>; N],
    weights: &[Lanes<G>; N],
    half: f32,
    inverse: Lanes<G>,
) -> (Lanes<G>, Lanes<G>) {
    let (mut sum_lx, mut sum_l2) = (Lanes::ZERO, Lanes::ZERO);
    for i in 0..N {
        let quant = (inverse * x[i]).round().clamp(-half, half - 1.0);
        sum_lx += weights[i] * x[i] * quant;
        sum_l2 += weights[i] * quant * quant;
    }
    (sum_lx, sum_l2)
}

impl<const G: usize> Signed<G> {
    /// The integers of elements with these values, counted from `-half`; zero in a group of nothing.
    #[inline(always)]
    pub(crate) fn quants(&self, x: Lanes<G>) -> Lanes<G> {
        let half = Lanes::splat(self.half);
        self.nothing.select(Lanes::ZERO, (self.inverse * x).round().clamp(-self.half, self.half - 1.0) + half)
    }
}

/// [`find`] for one group, with the places side by side: the scale, and the integers counted from `-half`.
#[inline(always)]
pub(crate) fn find_one<const N: usize>(x: &[f32; N], weights: &[f32; N], half: f32) -> (f32, [f32; N]) {
    // The end of the range, the other places, and room to fill up the vectors.
    const TRIED: usize = 32;
    let farthest = crate::extremes::farthest_from_zero(x);
    if farthest.abs() < NOTHING {
        return (0.0, [0.0; N]);
    }
    let inverse: [f32; TRIED] = from_fn(|i| match i {
        0 => -half / farthest,
        _ => -(half + 0.1 * PLACES.get(i - 1).unwrap_or(&0.0)) / farthest,
    });
    let (mut sum_lx, mut sum_l2) = (Lanes::<TRIED>::ZERO, Lanes::<TRIED>::ZERO);
    for i in 0..N {
        let quant = (Lanes(inverse) * Lanes::splat(x[i])).round().clamp(-half, half - 1.0);
        sum_lx += Lanes::splat(weights[i] * x[i]) * quant;
        sum_l2 += Lanes::splat(weights[i]) * quant * quant;
    }
    let (sum_lx, sum_l2) = (sum_lx.0, sum_l2.0);
    let mut chosen = 0;
    let mut scale = if sum_l2[0] != 0.0 { sum_lx[0] / sum_l2[0] } else { 0.0 };
    let mut best = scale * sum_lx[0];
    for i in 1..=PLACES.len() {
        if sum_l2[i] > 0.0 && sum_lx[i] * sum_lx[i] > best * sum_l2[i] {
            scale = sum_lx[i] / sum_l2[i];
            best = scale * sum_lx[i];
            chosen = i;
        }
    }
    let quants = Lanes(x.map(|x| inverse[chosen] * x)).round().clamp(-half, half - 1.0) + Lanes::splat(half);
    (scale, quants.0)
}

/// Starts with the value farthest from zero at the far end; then, one after the other, moves each integer to where it
/// serves the sums of all best, until none moves. Elements weigh as their squares. Gives the scales, and the integers
/// counted from `-half`.
#[inline(always)]
pub(crate) fn descend<const G: usize, const N: usize>(x: &[Lanes<G>; N], half: f32) -> (Lanes<G>, [Lanes<G>; N]) {
    let farthest = farthest_from_zero(x);
    let nothing = farthest.abs().lt(Lanes::splat(NOTHING));
    let inverse = Lanes::splat(-half) / farthest;
    let mut quants = [Lanes::ZERO; N];
    let (mut sum_lx, mut sum_l2) = (Lanes::ZERO, Lanes::ZERO);
    for i in 0..N {
        let quant = (inverse * x[i]).round().clamp(-half, half - 1.0);
        let weight = x[i] * x[i];
        quants[i] = quant;
        sum_lx += weight * x[i] * quant;
        sum_l2 += weight * quant * quant;
    }
    for _ in 0..5 {
        let mut moved = Mask([0; G]);
        for i in 0..N {
            let quant = quants[i];
            let weight = x[i] * x[i];
            let lx = sum_lx - weight * x[i] * quant;
            let l2 = sum_l2 - weight * quant * quant;
            let other = (x[i] * l2 / lx).round().clamp(-half, half - 1.0);
            let possible = lx.gt(Lanes::ZERO).and(other.ne(quant));
            let (lx, l2) = (lx + weight * x[i] * other, l2 + weight * other * other);
            let better = l2.gt(Lanes::ZERO).and((lx * lx * sum_l2).gt(sum_lx * sum_lx * l2));
            let moves = possible.and(better);
            quants[i] = moves.select(other, quant);
            sum_lx = moves.select(lx, sum_lx);
            sum_l2 = moves.select(l2, sum_l2);
            moved = moved.or(moves);
        }
        // A group in which nothing moved would not move in another round either.
        if !moved.and(nothing.not()).any() {
            break;
        }
    }
    let scale = sum_l2.gt(Lanes::ZERO).select(sum_lx / sum_l2, Lanes::ZERO);
    let half = Lanes::splat(half);
    (nothing.select(Lanes::ZERO, scale), quants.map(|quant| nothing.select(Lanes::ZERO, quant + half)))
}

/// The first value of the largest magnitude in each group.
#[inline(always)]
pub(crate) fn farthest_from_zero<const G: usize, const N: usize>(x: &[Lanes<G>; N]) -> Lanes<G> {
    let mut farthest = Lanes::ZERO;
    for &x in x {
        farthest = x.abs().gt(farthest.abs()).select(x, farthest);
    }
    farthest
}
