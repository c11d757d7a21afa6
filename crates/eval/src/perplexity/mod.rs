//! Perplexity in llama.cpp's scheme: windows of the context length side by side, the second half of each scored.
//!
//! The running estimate after each window is `exp` of the mean negative log-likelihood so far; its error is that of the
//! mean. Beside it: windows that overlap ([`strided`]), the file of a model's probabilities ([`BaseLogits`]), and how far
//! another model's are from them ([`kl_divergence`]).

mod base_logits;
mod divergence;
mod statistics;
mod strided;

use std::io;

use ascua::{Error, Flow, Model};

use crate::log_softmax::{LogSoftmax, evaluate_fresh};
use crate::windows::{TextError, Windows};
use base_logits::{BaseWriter, EncodedRow};
use statistics::Sums;

pub use base_logits::{BaseError, BaseLogits};
pub use divergence::{DivergenceEstimate, KlDivergence, kl_divergence};
pub use statistics::{Measured, percentile};
pub use strided::{strided, strided_context};

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
    /// It cannot be cut into windows.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A step between windows that are to overlap.
    #[error("a stride of {stride} tokens does not fit a window of {window}; it must be from 1 to {most}")]
    Stride {
        /// The stride.
        stride: usize,
        /// The window.
        window: usize,
        /// The most.
        most: usize,
    },
    /// The file of a base's probabilities cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The file of probabilities cannot be written.
    #[error("the probabilities cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] Error),
}

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
    let likelihood = |logits: &[f32], token: u32| -LogSoftmax::new(logits).log_probability(token);
    over_windows(model, tokens, options, &likelihood, &mut |value| Ok(value), on_chunk)
}

/// As [`perplexity`]; the probabilities of all scored tokens are written to `out`, to compare other models with
/// ([`BaseLogits`]): for each token scored about two bytes a token of the vocabulary.
///
/// # Errors
/// As [`perplexity`]; `out` cannot be written.
pub fn perplexity_saving(
    model: &mut Model,
    tokens: &[u32],
    options: PerplexityOptions,
    out: &mut dyn io::Write,
    on_chunk: &mut dyn FnMut(Estimate) -> Flow,
) -> Result<Option<Estimate>, PerplexityError> {
    let windows = Windows::new(model, tokens, options.window, options.chunks)?;
    let vocabulary = model.engine().vocabulary();
    let mut writer = BaseWriter::new(out, options.window, vocabulary, windows.tokens())?;
    let encode = |logits: &[f32], token: u32| EncodedRow::new(logits, token);
    let mut keep = |row: EncodedRow| {
        writer.write(&row)?;
        Ok(row.negative_log_likelihood)
    };
    over_windows(model, tokens, options, &encode, &mut keep, on_chunk)
}

/// Scores the second half of each window: `score` makes something of a row of logits and the token that followed, on
/// several threads; `keep` takes it in order and gives the token's negative log-likelihood.
fn over_windows<T: Send>(
    model: &mut Model,
    tokens: &[u32],
    options: PerplexityOptions,
    score: &(dyn Fn(&[f32], u32) -> T + Sync),
    keep: &mut dyn FnMut(T) -> Result<f64, PerplexityError>,
    on_chunk: &mut dyn FnMut(Estimate) -> Flow,
) -> Result<Option<Estimate>, PerplexityError> {
    let windows = Windows::new(model, tokens, options.window, options.chunks)?;
    let total = windows.count();
    let mut sums = Sums::default();
    let mut estimate = None;
    for index in 0..total {
        let chunk = windows.get(index);
        // The last row would predict a token outside the window.
        let input = &windows.input(index)[..options.window - 1];
        let mut kept = Ok(());
        let score_row = |row: usize, logits: &[f32]| score(logits, chunk[row + 1]);
        evaluate_fresh(model, input, options.window / 2, &score_row, &mut |_, scored| {
            if kept.is_ok() {
                kept = keep(scored).map(|value| sums.add(value));
            }
        })?;
        kept?;
        let now = sums.perplexity(index + 1, total);
        estimate = Some(now);
        if on_chunk(now) == Flow::Stop {
            break;
        }
    }
    Ok(estimate)
}
