//! Encoding of Q2_K, Q4_K and Q5_K: groups with a scale and a minimum of a few bits each, and `x = d * scale * q - dmin *
//! minimum`.
//!
//! The scales are searched for each group, brought to their few bits together, and the integers chosen again for what the
//! scales have become. Source: llama.cpp, `quantize_row_q4_K_ref` and `quantize_row_q4_K_impl`.

use std::array::from_fn;

use crate::lanes::{Lanes, transpose};
use crate::little_endian::LeF16;
use crate::rounding::round_half_even;
use crate::search::affine::AffineSearch;
use crate::search::{positive, weights};

/// What the formats differ in.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// The search without importance.
    pub plain: AffineSearch,
    /// What an element counts without importance.
    pub weight: PlainWeight,
    /// With importance: the usual square, in mean squares of the block.
    pub usual: f32,
    /// The largest scale and minimum.
    pub largest_scale: f32,
}

/// What an element counts without importance.
#[derive(Clone, Copy)]
pub(crate) enum PlainWeight {
    /// Its magnitude.
    Magnitude,
    /// Its magnitude and the root of the group's mean square.
    MagnitudeAndUsual,
}

/// The parts of a block of `G` groups.
pub(crate) struct KAffine<const G: usize> {
    pub d: LeF16,
    pub dmin: LeF16,
    pub scales: [u8; G],
    pub minimums: [u8; G],
    pub quants: [u8; 256],
}

/// Encodes a block of `G` groups of `N` elements.
#[inline(always)]
pub(crate) fn encode<const G: usize, const N: usize>(
    values: &[f32; 256],
    importance: Option<&[f32; 256]>,
    rules: Rules,
) -> KAffine<G> {
    let x: [Lanes<G>; N] = transpose(values);
    let largest = rules.plain.largest;
    let (search, weights) = match importance {
        None => (rules.plain, plain_weights(&x, rules.weight)),
        Some(importance) => {
            let usual = Lanes::splat(rules.usual * weights::sum_of_squares(values) / 256.0);
            let weights = weights::with_importance(&x, &transpose(importance), usual);
            (AffineSearch { largest, ..AffineSearch::WITH_IMPORTANCE }, weights)
        }
    };
    let found = search.find(&x, &weights);

    let (d, scales, dmin, minimums) = if importance.is_none() {
        let (d, scales) = share(found.scale, rules.largest_scale);
        let (dmin, minimums) = share(found.minimum, rules.largest_scale);
        (d, scales, dmin, minimums)
    } else {
        let sums = weights::sums(&weights);
        let both: [Lanes<2>; G] = from_fn(|group| Lanes([found.scale.0[group], found.minimum.0[group]]));
        let importance = from_fn(|group| Lanes::splat(sums.0[group]));
        let (d, quants) = positive::find(&both, &importance, rules.largest_scale);
        (d.0[0], quants.map(|quants| quants.0[0] as u8), d.0[1], quants.map(|quants| quants.0[1] as u8))
    };
    let (d, dmin) = (LeF16::from_f32(d), LeF16::from_f32(dmin));

    let step = Lanes(scales.map(|scale| d.to_f32() * f32::from(scale)));
    let shift = Lanes(minimums.map(|minimum| dmin.to_f32() * f32::from(minimum)));
    let no_step = step.eq(Lanes::ZERO);
    let mut quants = [0; 256];
    for (i, &x) in x.iter().enumerate() {
        let chosen = ((x + shift) / step).round().clamp(0.0, largest);
        // Where the scale has become zero the integer does not matter; it is that of the search.
        let chosen = no_step.select(found.quants(x, largest), chosen);
        for group in 0..G {
            quants[N * group + i] = chosen.0[group] as u8;
        }
    }
    KAffine { d, dmin, scales, minimums, quants }
}

#[inline(always)]
fn plain_weights<const G: usize, const N: usize>(x: &[Lanes<G>; N], weight: PlainWeight) -> [Lanes<G>; N] {
    match weight {
        PlainWeight::Magnitude => x.map(Lanes::abs),
        PlainWeight::MagnitudeAndUsual => {
            let usual = (weights::sums(&weights::squares(x)) / Lanes::splat(N as f32)).sqrt();
            x.map(|x| usual + x.abs())
        }
    }
}

/// What one step stands for, with the largest of the numbers at `steps`, and the numbers in steps.
#[inline(always)]
fn share<const G: usize>(numbers: Lanes<G>, steps: f32) -> (f32, [u8; G]) {
    let largest = numbers.0.iter().fold(0.0f32, |largest, &number| if number > largest { number } else { largest });
    let inverse = if largest > 0.0 { steps / largest } else { 0.0 };
    (largest / steps, numbers.0.map(|number| (round_half_even(inverse * number) as u8).min(steps as u8)))
}
