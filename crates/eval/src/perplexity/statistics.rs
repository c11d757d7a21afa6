//! Means with their errors, and percentiles.

use super::Estimate;

/// A number and its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// What the mean of some numbers needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub count: u64,
    sum: f64,
    squares: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// The mean; its error is 0 where there are too few numbers to tell.
    pub(crate) fn mean(&self) -> Measured {
        let count = self.count.max(1) as f64;
        let value = self.sum / count;
        let variance = (self.squares / count - value * value).max(0.0);
        Measured { value, standard_error: if self.count > 1 { (variance / (count - 1.0)).sqrt() } else { 0.0 } }
    }

    /// `exp` of the mean negative log-likelihood.
    pub(crate) fn perplexity(&self, chunks: usize, total: usize) -> Estimate {
        let mean = self.mean();
        let perplexity = mean.value.exp();
        Estimate { chunks, total, perplexity, standard_error: mean.standard_error * perplexity }
    }
}

/// Covariance of the means of two series of numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Covariance {
    count: u64,
    a: f64,
    b: f64,
    products: f64,
}

impl Covariance {
    pub(crate) fn add(&mut self, a: f64, b: f64) {
        self.count += 1;
        self.a += a;
        self.b += b;
        self.products += a * b;
    }

    pub(crate) fn of_means(&self) -> f64 {
        let count = self.count as f64;
        if self.count < 2 { 0.0 } else { (self.products / count - self.a / count * (self.b / count)) / (count - 1.0) }
    }
}

/// The number below which `fraction` of the sorted numbers lie, between two of them where need be; 0 where there are none.
pub fn percentile(sorted: &[f32], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = fraction.clamp(0.0, 1.0) * last as f64;
    let (below, part) = (place as usize, place.fract());
    let above = (below + 1).min(last);
    f64::from(sorted[below]) * (1.0 - part) + f64::from(sorted[above]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perplexity_is_the_exponential_of_the_mean_with_its_error() {
        let mut sums = Sums::default();
        [1.0, 2.0, 3.0].into_iter().for_each(|v| sums.add(v));
        let estimate = sums.perplexity(1, 1);
        assert!((estimate.perplexity - 2f64.exp()).abs() < 1e-9);
        let error = (2.0f64 / 3.0 / 2.0).sqrt() * 2f64.exp();
        assert!((estimate.standard_error - error).abs() < 1e-9);
    }

    #[test]
    fn a_series_varies_with_itself_as_much_as_alone() {
        let (mut sums, mut covariance) = (Sums::default(), Covariance::default());
        for value in [1.0, 5.0, 2.0, 8.0] {
            sums.add(value);
            covariance.add(value, value);
        }
        assert!((covariance.of_means().sqrt() - sums.mean().standard_error).abs() < 1e-12);
    }

    #[test]
    fn percentiles_lie_between_numbers() {
        for (sorted, fraction, expected) in [
            (&[][..], 0.5, 0.0),
            (&[4.0], 0.9, 4.0),
            (&[1.0, 2.0, 3.0], 0.5, 2.0),
            (&[1.0, 2.0], 0.25, 1.25),
            (&[1.0, 2.0], 1.0, 2.0),
        ] {
            assert!((percentile(sorted, fraction) - expected).abs() < 1e-12, "{sorted:?} {fraction}");
        }
    }
}
