//! Speed: tokens per second of prompts and of generation, over several runs.
//!
//! As the field's benchmark does it: random tokens, no sampling, an empty cache before each run, one uncounted run first.

use std::time::Instant;

use ascua::engine::{Entry, Wanted};
use ascua::{Error, Flow, Model};

/// What to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchTest {
    /// A prompt of so many tokens, computed in one go.
    Prompt(usize),
    /// So many tokens, one at a time.
    Generation(usize),
}

impl BenchTest {
    /// Short name: `pp512`, `tg128`.
    pub fn name(self) -> String {
        match self {
            BenchTest::Prompt(tokens) => format!("pp{tokens}"),
            BenchTest::Generation(tokens) => format!("tg{tokens}"),
        }
    }

    /// Tokens of one run.
    pub fn tokens(self) -> usize {
        match self {
            BenchTest::Prompt(tokens) | BenchTest::Generation(tokens) => tokens,
        }
    }
}

/// Tokens per second of the runs of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchResult {
    /// The test.
    pub test: BenchTest,
    /// One number a run.
    pub samples: Vec<f64>,
}

impl BenchResult {
    /// Mean of the samples.
    pub fn mean(&self) -> f64 {
        self.samples.iter().sum::<f64>() / self.samples.len().max(1) as f64
    }

    /// Sample standard deviation; 0 for a single run.
    pub fn standard_deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.samples.iter().map(|s| (s - mean).powi(2)).sum();
        if self.samples.len() < 2 { 0.0 } else { (squares / (self.samples.len() - 1) as f64).sqrt() }
    }
}

/// Times one test; `on_run` is told after each run (0 is the uncounted one) and may stop.
///
/// # Errors
/// The tokens do not fit into the context, or a step fails.
pub fn bench(
    model: &mut Model,
    test: BenchTest,
    runs: usize,
    on_run: &mut dyn FnMut(usize) -> Flow,
) -> Result<BenchResult, Error> {
    let vocabulary = model.engine().vocabulary() as u64;
    let mut state = 1u64;
    let tokens: Vec<u32> = (0..test.tokens())
        .map(|_| {
            // A linear congruential generator (Knuth's constants) is random enough for timing.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % vocabulary) as u32
        })
        .collect();
    let mut samples = Vec::with_capacity(runs);
    for run in 0..=runs {
        let sequence = model.engine().create_sequence()?;
        let started = Instant::now();
        let outcome = match test {
            BenchTest::Prompt(_) => {
                model.engine().evaluate(&[Entry { sequence, tokens: &tokens, wanted: Wanted::Last }], &mut |_| {})
            }
            BenchTest::Generation(_) => tokens.chunks(1).try_for_each(|tokens| {
                model.engine().evaluate(&[Entry { sequence, tokens, wanted: Wanted::Last }], &mut |_| {})
            }),
        };
        let seconds = started.elapsed().as_secs_f64();
        model.engine().release_sequence(sequence);
        outcome?;
        if run > 0 {
            samples.push(test.tokens() as f64 / seconds);
        }
        if on_run(run) == Flow::Stop {
            break;
        }
    }
    Ok(BenchResult { test, samples })
}
