//! Perplexity in llama.cpp's scheme: windows of the context length side by side, the second half of each scored.
//!
//! The first token of each window is replaced by the beginning-of-sequence token where the model wants one. The running
//! estimate after each window is `exp` of the mean negative log-likelihood so far; its error is that of the mean.

use ascua::engine::{Entry, Wanted};
use ascua::{Error, Flow, Model};

/// How to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerplexityOptions {
    /// Tokens of a window.
    pub window: usize,
    /// Most windows; `None`: the whole text.
    pub chunks: Option<usize>,
}

/// The estimate after some windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Windows scored.
    pub chunks: usize,
    /// Windows there are to score.
    pub total: usize,
    /// Perplexity so far.
    pub perplexity: f64,
    /// Standard error of it.
    pub standard_error: f64,
}

/// A text cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum PerplexityError {
    /// Too short for one window.
    #[error("the text has {tokens} tokens, a window takes {window}")]
    TooShort {
        /// Its length.
        tokens: usize,
        /// The window.
        window: usize,
    },
    /// A window shorter than this leaves nothing to score.
    #[error("a window of {window} tokens leaves nothing to score; it must have at least {least}")]
    Window {
        /// The window.
        window: usize,
        /// The least.
        least: usize,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] Error),
}

/// Shortest window.
const SHORTEST_WINDOW: usize = 4;

/// Perplexity of a model on the tokens of a text (with its beginning-of-sequence token, if the model wants one);
/// `on_chunk` sees the running estimate and may stop.
///
/// # Errors
/// The text is shorter than a window, or a step fails.
pub fn perplexity(
    model: &mut Model,
    tokens: &[u32],
    options: PerplexityOptions,
    on_chunk: &mut dyn FnMut(Estimate) -> Flow,
) -> Result<Option<Estimate>, PerplexityError> {
    let window = options.window;
    if window < SHORTEST_WINDOW {
        return Err(PerplexityError::Window { window, least: SHORTEST_WINDOW });
    }
    let total = (tokens.len() / window).min(options.chunks.unwrap_or(usize::MAX));
    if total == 0 {
        return Err(PerplexityError::TooShort { tokens: tokens.len(), window });
    }
    let bos = model.tokenizer().ok().filter(|t| t.add_bos()).and_then(|t| t.bos());
    let first = window / 2;
    let mut sums = Sums::default();
    let mut estimate = None;
    for (index, chunk) in tokens.chunks_exact(window).take(total).enumerate() {
        let mut input = chunk.to_vec();
        if let Some(bos) = bos {
            input[0] = bos;
        }
        // The last row would predict a token outside the window.
        input.truncate(window - 1);
        let sequence = model.engine().create_sequence().map_err(Error::from)?;
        let entry = Entry { sequence, tokens: &input, wanted: Wanted::From(first) };
        let outcome = model.engine().evaluate(&[entry], &mut |logits| {
            sums.add(negative_log_likelihood(logits.values, chunk[logits.row + 1]));
        });
        model.engine().release_sequence(sequence);
        outcome.map_err(Error::from)?;
        let now = sums.estimate(index + 1, total);
        estimate = Some(now);
        if on_chunk(now) == Flow::Stop {
            break;
        }
    }
    Ok(estimate)
}

#[derive(Default)]
struct Sums {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn estimate(&self, chunks: usize, total: usize) -> Estimate {
        let count = self.count as f64;
        let mean = self.sum / count;
        let variance = (self.squares / count - mean * mean).max(0.0);
        let perplexity = mean.exp();
        let standard_error = if self.count > 1 { (variance / (count - 1.0)).sqrt() * perplexity } else { 0.0 };
        Estimate { chunks, total, perplexity, standard_error }
    }
}

/// `log(sum(exp(logits))) - logits[token]`
fn negative_log_likelihood(logits: &[f32], token: u32) -> f64 {
    /// Independent sums, so that the additions overlap.
    const LANES: usize = 8;
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0f64; LANES];
    for part in logits.chunks(LANES) {
        for (sum, logit) in sums.iter_mut().zip(part) {
            *sum += f64::from((logit - max).exp());
        }
    }
    sums.iter().sum::<f64>().ln() - f64::from(logits[token as usize] - max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihood_of_equal_logits_is_one_in_n() {
        for size in [1, 7, 8, 100] {
            let logits = vec![3.5; size];
            let found = negative_log_likelihood(&logits, size as u32 - 1);
            assert!((found - (size as f64).ln()).abs() < 1e-6, "{size}: {found}");
        }
    }

    #[test]
    fn estimate_is_the_exponential_of_the_mean_with_its_error() {
        let mut sums = Sums::default();
        [1.0, 2.0, 3.0].into_iter().for_each(|v| sums.add(v));
        let estimate = sums.estimate(1, 1);
        assert!((estimate.perplexity - 2f64.exp()).abs() < 1e-9);
        let error = (2.0f64 / 3.0 / 2.0).sqrt() * 2f64.exp();
        assert!((estimate.standard_error - error).abs() < 1e-9);
    }
}
