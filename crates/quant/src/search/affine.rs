//! The scale and minimum of a group whose integers are unsigned: `x = scale * q - minimum`.
//!
//! Steps of the range are tried; for each, the integers are fixed and scale and minimum are those of the weighted least
//! squares, the minimum kept from being negative. Used by Q2_K, Q4_K, Q5_K, and by Q4_1 and Q5_1 with importance. Source:
//! llama.cpp, `make_qkx2_quants` and `make_qkx3_quants`.

use crate::lanes::Lanes;

/// What is tried.
#[derive(Clone, Copy)]
pub(crate) struct AffineSearch {
    /// The largest integer.
    pub largest: f32,
    /// Change of the largest integer in the first try.
    pub first: f32,
    /// Change from one try to the next.
    pub step: f32,
    /// Tries.
    pub tries: u32,
    /// What of the error is summed.
    pub error: ErrorMeasure,
}

/// What of an element's error is summed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorMeasure {
    Magnitude,
    Square,
}

/// What was found for each group.
pub(crate) struct Affine<const G: usize> {
    pub scale: Lanes<G>,
    /// To be subtracted; not negative.
    pub minimum: Lanes<G>,
    /// The integers are those of `inverse * (x - base)`.
    inverse: Lanes<G>,
    base: Lanes<G>,
}

impl AffineSearch {
    /// The search with importance, whose largest integer the caller fills in.
    pub(crate) const WITH_IMPORTANCE: Self =
        AffineSearch { largest: 0.0, first: -0.9, step: 0.05, tries: 37, error: ErrorMeasure::Square };

    #[inline(always)]
    pub(crate) fn find<const G: usize, const N: usize>(self, x: &[Lanes<G>; N], weights: &[Lanes<G>; N]) -> Affine<G> {
        let (mut low, mut high) = (x[0], x[0]);
        let mut sum_w = weights[0];
        let mut sum_x = sum_w * x[0];
        for i in 1..N {
            low = x[i].min(low);
            high = x[i].max(high);
            sum_w += weights[i];
            sum_x += weights[i] * x[i];
        }
        low = low.gt(Lanes::ZERO).select(Lanes::ZERO, low);
        let flat = high.eq(low);
        let mut inverse = Lanes::splat(self.largest) / (high - low);
        let mut scale = Lanes::splat(1.0) / inverse;
        // The best minimum so far, from which the next try starts, and the one the best integers were counted from.
        let (mut minimum, mut base) = (low, low);
        let mut best = Lanes::ZERO;
        for i in 0..N {
            let quant = (inverse * (x[i] - low)).round().clamp(0.0, self.largest);
            best += weights[i] * self.error_of(scale * quant + minimum - x[i]);
        }
        let mut quants = [Lanes::ZERO; N];
        for attempt in 0..self.tries {
            let tried = Lanes::splat(self.first + self.step * attempt as f32 + self.largest) / (high - minimum);
            let (mut sum_l, mut sum_l2, mut sum_xl) = (Lanes::ZERO, Lanes::ZERO, Lanes::ZERO);
            for i in 0..N {
                let quant = (tried * (x[i] - minimum)).round().clamp(0.0, self.largest);
                quants[i] = quant;
                let weighted = weights[i] * quant;
                sum_l += weighted;
                sum_l2 += weighted * quant;
                sum_xl += weighted * x[i];
            }
            let determinant = sum_w * sum_l2 - sum_l * sum_l;
            let this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
            let this_minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
            let positive = this_minimum.gt(Lanes::ZERO);
            let this_minimum = positive.select(Lanes::ZERO, this_minimum);
            let this_scale = positive.select(sum_xl / sum_l2, this_scale);
            let mut error = Lanes::ZERO;
            for i in 0..N {
                error += weights[i] * self.error_of(this_scale * quants[i] + this_minimum - x[i]);
            }
            let better = determinant.gt(Lanes::ZERO).and(error.lt(best));
            best = better.select(error, best);
            scale = better.select(this_scale, scale);
            base = better.select(minimum, base);
            minimum = better.select(this_minimum, minimum);
            inverse = better.select(tried, inverse);
        }
        Affine {
            scale: flat.select(Lanes::ZERO, scale),
            minimum: -flat.select(low, minimum),
            inverse: flat.select(Lanes::ZERO, inverse),
            base,
        }
    }

    #[inline(always)]
    fn error_of<const G: usize>(self, difference: Lanes<G>) -> Lanes<G> {
        match self.error {
            ErrorMeasure::Magnitude => difference.abs(),
            ErrorMeasure::Square => difference * difference,
        }
    }
}

impl<const G: usize> Affine<G> {
    /// The integers of elements with these values.
    #[inline(always)]
    pub(crate) fn quants(&self, x: Lanes<G>, largest: f32) -> Lanes<G> {
        (self.inverse * (x - self.base)).round().clamp(0.0, largest)
    }
}
