//! A scale for numbers that are not negative: `x = scale * q`, with `q` from 0 to a largest integer.
//!
//! Nine steps are tried; then, one after the other, each integer is moved to where it serves the sums of all best, until
//! none moves. Used for the scales of scales, with importance, and by IQ2_XXS. Source: llama.cpp, `make_qp_quants`.

use crate::lanes::{Lanes, Mask};
use crate::search::signed::NOTHING;

/// The scale and the integers of each group; all zero where the numbers are.
#[inline(always)]
pub(crate) fn find<const G: usize, const N: usize>(
    x: &[Lanes<G>; N],
    weights: &[Lanes<G>; N],
    largest: f32,
) -> (Lanes<G>, [Lanes<G>; N]) {
    let mut highest = Lanes::ZERO;
    for &x in x {
        highest = highest.max(x);
    }
    let nothing = highest.lt(Lanes::splat(NOTHING));
    let mut inverse = Lanes::splat(largest) / highest;
    let mut least = Lanes::ZERO;
    for i in 0..N {
        let difference = x[i] - Lanes::splat(1.0) / inverse * stored((inverse * x[i]).round());
        least += weights[i] * difference * difference;
    }
    for attempt in (-4..=4).filter(|&attempt| attempt != 0) {
        let tried = Lanes::splat(0.1 * attempt as f32 + largest) / highest;
        let error = error_of(x, weights, tried, largest);
        let better = error.lt(least);
        least = better.select(error, least);
        inverse = better.select(tried, inverse);
    }

    let mut quants = [Lanes::ZERO; N];
    let (mut sum_lx, mut sum_l2) = (Lanes::ZERO, Lanes::ZERO);
    for i in 0..N {
        let quant = (inverse * x[i]).round().min(Lanes::splat(largest));
        quants[i] = stored(quant);
        sum_lx += weights[i] * x[i] * quant;
        sum_l2 += weights[i] * quant * quant;
    }
    for _ in 0..5 {
        let mut moved = Mask([0; G]);
        for i in 0..N {
            let quant = quants[i];
            let weighted = weights[i] * x[i];
            let (lx, l2) = (sum_lx - weighted * quant, sum_l2 - weights[i] * quant * quant);
            let possible = lx.gt(Lanes::ZERO).and(l2.gt(Lanes::ZERO));
            let other = (x[i] * l2 / lx).round().min(Lanes::splat(largest));
            let (lx, l2) = (lx + weighted * other, l2 + weights[i] * other * other);
            let better = (lx * lx * sum_l2).gt(sum_lx * sum_lx * l2);
            let moves = possible.and(better).and(other.ne(quant));
            quants[i] = moves.select(stored(other), quant);
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
    (nothing.select(Lanes::ZERO, scale), quants.map(|quant| nothing.select(Lanes::ZERO, quant)))
}

/// The integer as the reference keeps it, in an unsigned byte: a negative one, which IQ2_XXS can have, becomes large.
#[inline(always)]
fn stored<const G: usize>(quant: Lanes<G>) -> Lanes<G> {
    quant.lt(Lanes::ZERO).select(quant + Lanes::splat(256.0), quant)
}

#[inline(always)]
fn error_of<const G: usize, const N: usize>(
    x: &[Lanes<G>; N],
    weights: &[Lanes<G>; N],
    inverse: Lanes<G>,
    largest: f32,
) -> Lanes<G> {
    let scale = Lanes::splat(1.0) / inverse;
    let mut error = Lanes::ZERO;
    for i in 0..N {
        let difference = x[i] - scale * (inverse * x[i]).round().min(Lanes::splat(largest));
        error += weights[i] * difference * difference;
    }
    error
}
