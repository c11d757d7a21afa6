//! How far a model's probabilities are from those of its base, token by token: Kullback-Leibler divergence, the change of
//! the right token's probability, how often the likeliest token is the same. The measures are llama.cpp's.

use ascua::{Flow, Model};

use super::base_logits::{BaseLogits, BaseRow};
use super::statistics::{Covariance, Measured, Sums, percentile};
use super::{Estimate, PerplexityError};
use crate::log_softmax::{LogSoftmax, evaluate_fresh};
use crate::windows::Windows;

/// Tokens the base all but rules out do not count.
const LEAST_LOG_PROBABILITY: f32 = -16.0;

/// One scored token.
struct Scored {
    negative_log_likelihood: f64,
    base_negative_log_likelihood: f64,
    divergence: f64,
    same_top: bool,
}

impl Scored {
    fn new(logits: &[f32], base: BaseRow<'_>, token: u32) -> Scored {
        let row = LogSoftmax::new(logits);
        let log_total = row.log_sum + f64::from(row.max);
        let mut divergence = 0.0;
        let (mut top, mut base_top) = ((f32::NEG_INFINITY, 0), (f32::NEG_INFINITY, 0));
        for (index, (&logit, base)) in logits.iter().zip(base.iter()).enumerate() {
            if logit > top.0 {
                top = (logit, index);
            }
            if base > base_top.0 {
                base_top = (base, index);
            }
            if base > LEAST_LOG_PROBABILITY {
                divergence += f64::from(base.exp()) * (f64::from(base) - (f64::from(logit) - log_total));
            }
        }
        Scored {
            negative_log_likelihood: -row.log_probability(token),
            base_negative_log_likelihood: -f64::from(base.log_probability(token as usize)),
            divergence,
            same_top: top.1 == base_top.1,
        }
    }

    /// What the model gives the right token more than its base does.
    fn probability_change(&self) -> f64 {
        (-self.negative_log_likelihood).exp() - (-self.base_negative_log_likelihood).exp()
    }
}

/// The comparison after some windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DivergenceEstimate {
    /// The model's perplexity.
    pub perplexity: Estimate,
    /// Its base's.
    pub base_perplexity: Measured,
    /// Logarithm of the ratio of the two.
    pub log_ratio: Measured,
    /// Mean divergence.
    pub divergence: Measured,
    /// Root mean square of the change of the right token's probability.
    pub rms_change: Measured,
    /// Part of the tokens whose likeliest continuation is the base's.
    pub same_top: Measured,
}

/// The comparison of two models on a text.
#[derive(Clone, Debug)]
pub struct KlDivergence {
    /// Means, with their errors.
    pub estimate: DivergenceEstimate,
    /// Correlation of the two log-likelihoods.
    pub correlation: f64,
    /// Ratio of the perplexities.
    pub ratio: Measured,
    /// Difference of the perplexities.
    pub difference: Measured,
    /// Mean change of the right token's probability.
    pub mean_change: Measured,
    /// Divergence at each token, the least first.
    pub divergences: Vec<f32>,
    /// Change of the right token's probability at each token, the least first.
    pub changes: Vec<f32>,
}

/// Compares a model with the probabilities of its base; `on_chunk` sees the running figures and may stop.
///
/// # Errors
/// The file is of another vocabulary or cannot be read, or a step fails.
pub fn kl_divergence(
    model: &mut Model,
    base: &mut BaseLogits,
    chunks: Option<usize>,
    on_chunk: &mut dyn FnMut(DivergenceEstimate) -> Flow,
) -> Result<Option<KlDivergence>, PerplexityError> {
    base.check_vocabulary(model.engine().vocabulary())?;
    let window = base.window();
    let tokens = base.tokens().to_vec();
    let windows = Windows::new(model, &tokens, window, chunks)?;
    let total = windows.count();
    let first = window / 2;
    let mut totals = Totals::default();
    let mut done = 0;
    for index in 0..total {
        let rows = base.next_window()?;
        let chunk = windows.get(index);
        let score = |row: usize, logits: &[f32]| Scored::new(logits, rows.row(row - first), chunk[row + 1]);
        evaluate_fresh(model, &windows.input(index)[..window - 1], first, &score, &mut |_, token| totals.add(&token))?;
        done = index + 1;
        if on_chunk(totals.estimate(done, total)) == Flow::Stop {
            break;
        }
    }
    Ok((done > 0).then(|| totals.finish(done, total)))
}

#[derive(Default)]
struct Totals {
    likelihood: Sums,
    base_likelihood: Sums,
    both: Covariance,
    divergence: Sums,
    change: Sums,
    squared_change: Sums,
    same_top: u64,
    divergences: Vec<f32>,
    changes: Vec<f32>,
}

impl Totals {
    fn add(&mut self, token: &Scored) {
        let change = token.probability_change();
        self.likelihood.add(token.negative_log_likelihood);
        self.base_likelihood.add(token.base_negative_log_likelihood);
        self.both.add(token.negative_log_likelihood, token.base_negative_log_likelihood);
        self.divergence.add(token.divergence);
        self.change.add(change);
        self.squared_change.add(change * change);
        self.same_top += u64::from(token.same_top);
        self.divergences.push(token.divergence as f32);
        self.changes.push(change as f32);
    }

    /// Error of the difference of the two means.
    fn difference_error(a: f64, b: f64, covariance: f64) -> f64 {
        (a * a + b * b - 2.0 * covariance).max(0.0).sqrt()
    }

    fn estimate(&self, done: usize, total: usize) -> DivergenceEstimate {
        let (mean, base) = (self.likelihood.mean(), self.base_likelihood.mean());
        let error = Self::difference_error(mean.standard_error, base.standard_error, self.both.of_means());
        let squared = self.squared_change.mean();
        let rms = squared.value.sqrt();
        let count = self.likelihood.count as f64;
        let same = self.same_top as f64 / count;
        let base_perplexity = base.value.exp();
        DivergenceEstimate {
            perplexity: self.likelihood.perplexity(done, total),
            base_perplexity: Measured { value: base_perplexity, standard_error: base_perplexity * base.standard_error },
            log_ratio: Measured { value: mean.value - base.value, standard_error: error },
            divergence: self.divergence.mean(),
            rms_change: Measured {
                value: rms,
                standard_error: if rms > 0.0 { 0.5 / rms * squared.standard_error } else { 0.0 },
            },
            same_top: Measured { value: same, standard_error: (same * (1.0 - same) / (count - 1.0).max(1.0)).sqrt() },
        }
    }

    fn finish(mut self, done: usize, total: usize) -> KlDivergence {
        let estimate = self.estimate(done, total);
        let (mean, base) = (self.likelihood.mean(), self.base_likelihood.mean());
        let covariance = self.both.of_means();
        let errors = mean.standard_error * base.standard_error;
        let ratio = estimate.log_ratio.value.exp();
        let (own, other) = (estimate.perplexity, estimate.base_perplexity);
        let difference_error =
            Self::difference_error(own.standard_error, other.standard_error, own.perplexity * other.value * covariance);
        self.divergences.sort_by(f32::total_cmp);
        self.changes.sort_by(f32::total_cmp);
        KlDivergence {
            estimate,
            correlation: if errors > 0.0 { covariance / errors } else { 1.0 },
            ratio: Measured { value: ratio, standard_error: ratio * estimate.log_ratio.standard_error },
            difference: Measured { value: own.perplexity - other.value, standard_error: difference_error },
            mean_change: self.change.mean(),
            divergences: self.divergences,
            changes: self.changes,
        }
    }
}

impl KlDivergence {
    /// The divergence that so large a part of the tokens stays below.
    pub fn divergence_percentile(&self, fraction: f64) -> f64 {
        percentile(&self.divergences, fraction)
    }

    /// The change of probability that so large a part of the tokens stays below.
    pub fn change_percentile(&self, fraction: f64) -> f64 {
        percentile(&self.changes, fraction)
    }
}
