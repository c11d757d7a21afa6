//! Perplexity over windows that overlap: each steps on by a stride, and only its last tokens are scored, with nearly a
//! whole window before them.

use ascua::{Flow, Model};

use super::statistics::Sums;
use super::{Estimate, PerplexityError, PerplexityOptions};
use crate::log_softmax::{LogSoftmax, evaluate_fresh};
use crate::windows::TextError;

/// llama.cpp rounds its contexts up to a multiple of this (`llama_context`), and its strided windows fill the context.
const CONTEXT_STEP: usize = 256;

/// The context that [`strided`] needs: the window and half a stride, rounded up to 256.
pub fn strided_context(window: usize, stride: usize) -> usize {
    (window + stride / 2).next_multiple_of(CONTEXT_STEP)
}

/// Perplexity as llama.cpp's `--ppl-stride` measures it: windows of [`strided_context`] tokens, a stride apart; the
/// last `stride` tokens of each are scored. No window but the first begins with a beginning-of-sequence token.
///
/// # Errors
/// The text is shorter than a window, the stride longer, or a step fails.
pub fn strided(
    model: &mut Model,
    tokens: &[u32],
    options: PerplexityOptions,
    stride: usize,
    on_chunk: &mut dyn FnMut(Estimate) -> Flow,
) -> Result<Option<Estimate>, PerplexityError> {
    let PerplexityOptions { window, chunks } = options;
    let most = window.saturating_sub(1);
    if stride == 0 || stride > most {
        return Err(PerplexityError::Stride { stride, window, most });
    }
    let window = strided_context(window, stride);
    if tokens.len() <= window {
        return Err(TextError::TooShort { tokens: tokens.len(), window: window + 1 }.into());
    }
    let total = (tokens.len() - window).div_ceil(stride).min(chunks.unwrap_or(usize::MAX));
    let mut sums = Sums::default();
    let mut estimate = None;
    for index in 0..total {
        let chunk = &tokens[index * stride..][..window];
        let score = |row: usize, logits: &[f32]| -LogSoftmax::new(logits).log_probability(chunk[row + 1]);
        let first = window - stride - 1;
        evaluate_fresh(model, &chunk[..window - 1], first, &score, &mut |_, value| sums.add(value))?;
        let now = sums.perplexity(index + 1, total);
        estimate = Some(now);
        if on_chunk(now) == Flow::Stop {
            break;
        }
    }
    Ok(estimate)
}
