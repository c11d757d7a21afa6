//! The scale and the lattice points of a group of magnitudes: the search behind IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS and
//! IQ3_S.
//!
//! Scales are tried; under each, every `D` elements take their point; the best scale is that of the weighted least
//! squares, and the points that were not on the lattice are chosen once more under it. Source: llama.cpp,
//! `quantize_row_iq2_xs_impl`, `quantize_row_iq3_xxs_impl` and their relatives.

use std::array::from_fn;

use crate::lanes::Lanes;
use crate::levels::Available;
use crate::search::lattice::Lattice;
use crate::search::nearest::Target;

/// The most points a group has.
const MOST: usize = 8;

/// What is tried.
#[derive(Clone, Copy)]
pub(crate) struct PointSearch {
    /// The largest level.
    pub largest: i32,
    /// The scales put the largest magnitude at `2 * largest + 1 + step * i`, with `i` up to so many on either side.
    pub reach: i32,
    /// See `reach`.
    pub step: f32,
    /// Which points are chosen once more under the best scale.
    pub again: Again,
}

/// Which points are chosen once more under the best scale.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Those that were not on the lattice.
    OffLattice,
    /// All, where one was not on the lattice.
    AllIfOffLattice,
    /// All.
    All,
}

/// Magnitudes of a group, how much each counts, and the roots of that.
pub(crate) struct Magnitudes<const N: usize> {
    pub x: [f32; N],
    pub weights: [f32; N],
    pub roots: [f32; N],
}

impl<const N: usize> Magnitudes<N> {
    pub(crate) const ZERO: Self = Magnitudes { x: [0.0; N], weights: [0.0; N], roots: [0.0; N] };
}

impl Points {
    /// Makes a negative scale positive and turns the signs; only the bits of `stored` are.
    #[inline(always)]
    pub(crate) fn turn(&mut self, signs: &mut [u8; 4], stored: u8) {
        if self.scale < 0.0 {
            self.scale = -self.scale;
            *signs = signs.map(|signs| !signs & stored);
        }
    }
}

/// What was found.
pub(crate) struct Points {
    /// Negative where all signs must be turned.
    pub scale: f32,
    /// A code for each `D` elements.
    pub codes: [u16; MOST],
}

impl PointSearch {
    /// `highest` is the magnitude put at the largest level, `scale` what is given where no try is any good; `C` is the
    /// number of tries, rounded up.
    #[inline(always)]
    pub(crate) fn find<const C: usize, const N: usize, const D: usize, const BITS: usize>(
        self,
        lattice: &Lattice<D, BITS>,
        group: &Magnitudes<N>,
        highest: f32,
        scale: f32,
    ) -> Points {
        let tries = 2 * self.reach as usize + 1;
        let top = (2 * self.largest + 1) as f32;
        let inverse: [f32; C] = from_fn(|i| (top + (i as i32 - self.reach) as f32 * self.step) / highest);
        let one = Lanes::<C>::splat(1.0);
        let mut codes = [[0u16; C]; MOST];
        for (codes, x) in codes.iter_mut().zip(group.x.as_chunks::<D>().0) {
            let mut code = Lanes::<C>::ZERO;
            for (i, &x) in x.iter().enumerate() {
                let level = Lanes::splat(0.5) * (Lanes(inverse) * Lanes::splat(x) - one);
                code += level.round().clamp(0.0, self.largest as f32) * Lanes::splat((1u32 << (BITS * i)) as f32);
            }
            *codes = from_fn(|i| code.0[i] as i32 as u16);
        }
        let available = Available::now();
        let elements = group.x.as_chunks::<D>().0.iter().zip(group.roots.as_chunks::<D>().0);
        let mut off_lattice = [0u8; C];
        for (k, (x, roots)) in elements.clone().enumerate() {
            for attempt in 0..tries {
                let code = codes[k][attempt];
                if !lattice.has(code) {
                    off_lattice[attempt] |= 1 << k;
                    codes[k][attempt] = lattice.nearest(available, code, &odd_target(x, roots, 1.0 / inverse[attempt]));
                }
            }
        }
        let (mut sum_qx, mut sum_q2) = (Lanes::<C>::ZERO, Lanes::<C>::ZERO);
        for i in 0..N {
            let codes = &codes[i / D];
            let shift = BITS * (i % D);
            let value = Lanes(from_fn(|c| odd(i32::from(codes[c]) >> shift & ((1 << BITS) - 1))));
            sum_qx += Lanes::splat(group.weights[i] * group.x[i]) * value;
            sum_q2 += Lanes::splat(group.weights[i]) * value * value;
        }
        let (mut scale, mut best, mut chosen) = (scale, 0.0, None);
        for attempt in 0..tries {
            let (qx, q2) = (sum_qx.0[attempt], sum_q2.0[attempt]);
            if q2 > 0.0 && qx * qx > best * q2 {
                scale = qx / q2;
                best = scale * qx;
                chosen = Some(attempt);
            }
        }
        let mut points = Points { scale, codes: from_fn(|k| chosen.map_or(0, |chosen| codes[k][chosen])) };
        let off_lattice = match (self.again, chosen) {
            (Again::All, _) => u8::MAX,
            (Again::OffLattice, chosen) => chosen.map_or(0, |chosen| off_lattice[chosen]),
            (Again::AllIfOffLattice, Some(chosen)) if off_lattice[chosen] == 0 => 0,
            (Again::AllIfOffLattice, _) => u8::MAX,
        };
        if off_lattice != 0 && points.scale > 0.0 {
            let inverse = 1.0 / points.scale;
            for (k, (x, roots)) in elements.enumerate().filter(|(k, _)| off_lattice >> k & 1 != 0) {
                let mut code = 0;
                for i in (0..D).rev() {
                    let level = crate::rounding::round_half_even(0.5 * (inverse * x[i] - 1.0)).clamp(0, self.largest);
                    code = code << BITS | level as u16;
                }
                points.codes[k] = if lattice.has(code) {
                    code
                } else {
                    lattice.nearest(available, code, &odd_target(x, roots, points.scale))
                };
            }
            let (mut sum_qx, mut sum_q2) = (0.0, 0.0);
            for i in 0..N {
                let value = odd(i32::from(points.codes[i / D]) >> (BITS * (i % D)) & ((1 << BITS) - 1));
                sum_qx += group.weights[i] * group.x[i] * value;
                sum_q2 += group.weights[i] * value * value;
            }
            if sum_q2 > 0.0 {
                points.scale = sum_qx / sum_q2;
            }
        }
        points
    }
}

/// Magnitudes that points are to stand for.
#[inline(always)]
fn odd_target<'a, const D: usize>(x: &'a [f32; D], weights: &'a [f32; D], scale: f32) -> Target<'a, D> {
    Target { x, weights, scale, first: 1.0, step: 2.0 }
}

/// Level to magnitude.
#[inline(always)]
fn odd(level: i32) -> f32 {
    (2 * level + 1) as f32
}

/// Magnitudes and signs (bit set: negative) of eight elements each.
#[inline(always)]
pub(crate) fn all_signs<const N: usize>(x: &[f32; N]) -> ([f32; N], [u8; 4]) {
    let mut signs = [0; 4];
    for (signs, x) in signs.iter_mut().zip(x.as_chunks::<8>().0) {
        *signs = x.iter().enumerate().fold(0, |signs, (i, &x)| signs | u8::from(x.is_nan() || x < 0.0) << i);
    }
    (x.map(|x| if x >= 0.0 { x } else { -x }), signs)
}

/// As [`all_signs`], with an even number of negative signs in eight: where it is odd, the element whose sign matters least
/// has the wrong one, and a negative magnitude. The eighth sign follows from the others and is left out.
#[inline(always)]
pub(crate) fn even_signs<const N: usize>(x: &[f32; N], weights: &[f32; N]) -> ([f32; N], [u8; 4]) {
    let (mut magnitudes, mut signs) = all_signs(x);
    for (k, signs) in signs.iter_mut().enumerate().take(N / 8) {
        if signs.count_ones() % 2 != 0 {
            let matters = |i: usize| weights[8 * k + i] * x[8 * k + i] * x[8 * k + i];
            let (mut least, mut at) = (matters(0), 0);
            for i in 1..8 {
                if matters(i) < least {
                    (least, at) = (matters(i), i);
                }
            }
            magnitudes[8 * k + at] = -magnitudes[8 * k + at];
            *signs ^= 1 << at;
        }
        *signs &= 127;
    }
    (magnitudes, signs)
}

/// The highest of the magnitudes.
#[inline(always)]
pub(crate) fn highest<const N: usize>(x: &[f32; N]) -> f32 {
    x.iter().skip(1).fold(x[0], |highest, &x| if highest > x { highest } else { x })
}

/// What a step of the scales stands for, and the scales, whose steps are odd: 1, 3 and so on up to `2 * largest + 1`.
#[inline(always)]
pub(crate) fn odd_scales<const G: usize>(scales: &[f32; G], top: f32, largest: i32) -> Option<(f32, [u8; G])> {
    let highest = scales.iter().fold(0.0f32, |highest, &scale| if highest > scale { highest } else { scale });
    if highest == 0.0 {
        return None;
    }
    let d = highest / top;
    let inverse = 1.0 / d;
    let step = |scale: f32| crate::rounding::round_half_even(0.5 * (inverse * scale - 1.0)).clamp(0, largest) as u8;
    Some((d, scales.map(step)))
}
