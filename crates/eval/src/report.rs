//! What a file type costs and what it saves: perplexity, distance from the source, speed.
//!
//! The source is measured once, its probabilities saved; every quantised file is then compared with them in one pass.

use std::io::Write;

use ascua::{Flow, Model};

use crate::perplexity::{
    BaseLogits, DivergenceEstimate, Estimate, Measured, PerplexityError, PerplexityOptions, kl_divergence,
    perplexity_saving,
};
use crate::{BenchTest, bench};

/// What is measured of each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportOptions {
    /// Windows of the text.
    pub perplexity: PerplexityOptions,
    /// Prompt whose speed is measured; 0: none.
    pub prompt: usize,
    /// Tokens generated, one at a time; 0: none.
    pub generation: usize,
    /// Timed runs of each.
    pub runs: usize,
}

impl ReportOptions {
    /// Context a model must be opened for.
    pub fn context(&self) -> usize {
        self.perplexity.window.max(self.prompt).max(self.generation)
    }
}

/// What was measured of one file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Perplexity.
    pub perplexity: Measured,
    /// Divergence from the source; `None` for the source.
    pub divergence: Option<Measured>,
    /// Part of the tokens whose likeliest continuation is the source's.
    pub same_top: Option<Measured>,
    /// Tokens of a prompt in a second.
    pub prompt_speed: Option<f64>,
    /// Tokens generated in a second.
    pub generation_speed: Option<f64>,
}

/// Told of windows done and all windows; may stop.
pub type OnWindow<'a> = dyn FnMut(usize, usize) -> Flow + 'a;

/// Measures the source on the tokens of a text; what it says of them is written to `base`.
///
/// # Errors
/// The text is shorter than a window, `base` cannot be written, or a step fails.
pub fn measure_source(
    model: &mut Model,
    tokens: &[u32],
    options: &ReportOptions,
    base: &mut dyn Write,
    on_window: &mut OnWindow<'_>,
) -> Result<Option<Quality>, PerplexityError> {
    let mut stopped = false;
    let mut on_chunk = |estimate: Estimate| {
        let flow = on_window(estimate.chunks, estimate.total);
        stopped |= flow == Flow::Stop;
        flow
    };
    let estimate = perplexity_saving(model, tokens, options.perplexity, base, &mut on_chunk)?;
    let Some(Estimate { perplexity, standard_error, .. }) = estimate.filter(|_| !stopped) else { return Ok(None) };
    let quality = Quality {
        perplexity: Measured { value: perplexity, standard_error },
        divergence: None,
        same_top: None,
        prompt_speed: None,
        generation_speed: None,
    };
    Ok(Some(timed(model, options, quality)?))
}

/// Compares a model with what its source said.
///
/// # Errors
/// The file of probabilities is of another vocabulary or cannot be read, or a step fails.
pub fn measure_against(
    model: &mut Model,
    base: &mut BaseLogits,
    options: &ReportOptions,
    on_window: &mut OnWindow<'_>,
) -> Result<Option<Quality>, PerplexityError> {
    let mut stopped = false;
    let mut on_chunk = |estimate: DivergenceEstimate| {
        let flow = on_window(estimate.perplexity.chunks, estimate.perplexity.total);
        stopped |= flow == Flow::Stop;
        flow
    };
    let found = kl_divergence(model, base, options.perplexity.chunks, &mut on_chunk)?;
    let Some(found) = found.filter(|_| !stopped) else { return Ok(None) };
    let DivergenceEstimate { perplexity, divergence, same_top, .. } = found.estimate;
    let quality = Quality {
        perplexity: Measured { value: perplexity.perplexity, standard_error: perplexity.standard_error },
        divergence: Some(divergence),
        same_top: Some(same_top),
        prompt_speed: None,
        generation_speed: None,
    };
    Ok(Some(timed(model, options, quality)?))
}

/// Adds the speeds.
fn timed(model: &mut Model, options: &ReportOptions, quality: Quality) -> Result<Quality, PerplexityError> {
    let mut speed = |test: BenchTest| -> Result<Option<f64>, PerplexityError> {
        if test.tokens() == 0 {
            return Ok(None);
        }
        Ok(Some(bench(model, test, options.runs, &mut |_| Flow::Continue)?.median()))
    };
    let prompt_speed = speed(BenchTest::prompt(options.prompt))?;
    Ok(Quality { prompt_speed, generation_speed: speed(BenchTest::generation(options.generation))?, ..quality })
}
