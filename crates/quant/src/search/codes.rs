//! The scale of a group whose codes stand for sixteen uneven values: `x = scale * value[code]`.
//!
//! The value farthest from zero is put at and around the first value, -127, in steps of one; for each, the codes are fixed
//! and the scale is that of the weighted least squares. Used by IQ4_NL and IQ4_XS. Source: llama.cpp,
//! `quantize_row_iq4_nl_impl`.

use std::array::from_fn;

use crate::lanes::Lanes;
use crate::search::signed::{NOTHING, farthest_from_zero};
use crate::tables::IQ4_VALUES;

/// Steps to either side of -127.
const STEPS: i32 = 7;

/// The scale of each group.
#[inline(always)]
pub(crate) fn find<const G: usize, const N: usize>(x: &[Lanes<G>; N], weights: &[Lanes<G>; N]) -> Lanes<G> {
    let first = f32::from(IQ4_VALUES[0]);
    let farthest = farthest_from_zero(x);
    let nothing = farthest.abs().lt(Lanes::splat(NOTHING));
    let (sum_qx, sum_q2) = sums(x, weights, Lanes::splat(1.0) / (-farthest / Lanes::splat(first)));
    let mut scale = sum_q2.gt(Lanes::ZERO).select(sum_qx / sum_q2, Lanes::ZERO);
    let mut best = scale * sum_qx;
    for step in -STEPS..=STEPS {
        let (sum_qx, sum_q2) = sums(x, weights, Lanes::splat(step as f32 + first) / farthest);
        let better = sum_q2.gt(Lanes::ZERO).and((sum_qx * sum_qx).gt(best * sum_q2));
        scale = better.select(sum_qx / sum_q2, scale);
        best = better.select(scale * sum_qx, best);
    }
    nothing.select(Lanes::ZERO, scale)
}

/// The sums of weighted products with the values under a scale, and of the weighted values' squares.
#[inline(always)]
fn sums<const G: usize, const N: usize>(
    x: &[Lanes<G>; N],
    weights: &[Lanes<G>; N],
    inverse: Lanes<G>,
) -> (Lanes<G>, Lanes<G>) {
    let (mut sum_qx, mut sum_q2) = (Lanes::ZERO, Lanes::ZERO);
    for i in 0..N {
        let value = nearest_values(inverse * x[i]);
        let weighted = weights[i] * value;
        sum_qx += weighted * x[i];
        sum_q2 += weighted * value;
    }
    (sum_qx, sum_q2)
}

/// The values half way between two neighbours: from one on, the upper is the nearest.
const MIDDLES: [f32; 15] = {
    let mut middles = [0.0; 15];
    let mut i = 0;
    while i < 15 {
        middles[i] = (IQ4_VALUES[i] as f32 + IQ4_VALUES[i + 1] as f32) / 2.0;
        i += 1;
    }
    middles
};

/// The value nearest to each number.
#[inline(always)]
fn nearest_values<const G: usize>(x: Lanes<G>) -> Lanes<G> {
    let mut nearest = Lanes::splat(f32::from(IQ4_VALUES[0]));
    for (i, middle) in MIDDLES.into_iter().enumerate() {
        let step = f32::from(IQ4_VALUES[i + 1]) - f32::from(IQ4_VALUES[i]);
        nearest += x.map(|x| if x >= middle { step } else { 0.0 });
    }
    nearest
}

/// The code of the value nearest to each number.
#[inline(always)]
pub(crate) fn nearest_codes<const G: usize>(x: Lanes<G>) -> [u8; G] {
    from_fn(|lane| MIDDLES.into_iter().fold(0, |code, middle| code + u8::from(x.0[lane] >= middle)))
}
