//! Speed: tokens per second of prompts and of generation, over several runs.
//!
//! As the field's benchmark does it: random tokens, no sampling, one uncounted run first, and before each run a cache that
//! holds as many tokens as the test's depth says.

use std::fmt;
use std::time::Instant;

use ascua::engine::{Engine, EngineError, Entry, SequenceId, Wanted};
use ascua::{Error, Flow, Model};

/// What to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BenchTest {
    /// Tokens of the prompt, computed in one go.
    pub prompt: usize,
    /// Tokens generated after it, one at a time.
    pub generation: usize,
    /// Tokens that are in the context before the time starts.
    pub depth: usize,
    /// Sequences that do all this together.
    pub sequences: usize,
}

impl BenchTest {
    /// A prompt in an empty context.
    pub fn prompt(tokens: usize) -> BenchTest {
        BenchTest { prompt: tokens, generation: 0, depth: 0, sequences: 1 }
    }

    /// Generation in an empty context.
    pub fn generation(tokens: usize) -> BenchTest {
        BenchTest { prompt: 0, generation: tokens, depth: 0, sequences: 1 }
    }

    /// Tokens timed in one run.
    pub fn tokens(&self) -> usize {
        (self.prompt + self.generation) * self.sequences
    }

    /// Context each sequence needs.
    pub fn context(&self) -> usize {
        self.depth + self.prompt + self.generation
    }
}

/// Short name: `pp512`, `tg128`, `pp512+tg128`, `tg64 @ d8192`, `tg64 x8`.
impl fmt::Display for BenchTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.prompt, self.generation) {
            (prompt, 0) => write!(f, "pp{prompt}")?,
            (0, generation) => write!(f, "tg{generation}")?,
            (prompt, generation) => write!(f, "pp{prompt}+tg{generation}")?,
        }
        if self.depth > 0 {
            write!(f, " @ d{}", self.depth)?;
        }
        if self.sequences > 1 {
            write!(f, " x{}", self.sequences)?;
        }
        Ok(())
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

    /// Median of the samples; 0 where there are none.
    pub fn median(&self) -> f64 {
        median(&self.samples)
    }
}

/// The number in the middle, or the mean of the two there; 0 where there are none.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Times one test; `on_run` is told after each run (0 is the uncounted one) and may stop.
///
/// The model needs as many sequences and rows of logits in a step as the test has sequences, and a context of
/// [`BenchTest::context`].
///
/// # Errors
/// The tokens do not fit into the context, or a step fails.
pub fn bench(
    model: &mut Model,
    test: BenchTest,
    runs: usize,
    on_run: &mut dyn FnMut(usize) -> Flow,
) -> Result<BenchResult, Error> {
    let tokens = random_tokens(test.context(), model.engine().vocabulary());
    let mut samples = Vec::with_capacity(runs);
    let mut sequences = Vec::with_capacity(test.sequences);
    let mut outcome = Ok(());
    for run in 0..=runs {
        outcome = run_once(model.engine(), &test, &tokens, &mut sequences).map(|seconds| {
            if run > 0 {
                samples.push(test.tokens() as f64 / seconds);
            }
        });
        if outcome.is_err() || on_run(run) == Flow::Stop {
            break;
        }
    }
    release(model.engine(), &mut sequences);
    outcome?;
    Ok(BenchResult { test, samples })
}

/// Seconds of one run. What was computed for the depth is kept in `sequences` from run to run.
fn run_once(
    engine: &mut Engine,
    test: &BenchTest,
    tokens: &[u32],
    sequences: &mut Vec<SequenceId>,
) -> Result<f64, EngineError> {
    let (depth, timed) = tokens.split_at(test.depth);
    // A model that cannot go back to where its timed part began computes the depth again.
    let lost = depth.is_empty() || sequences.iter().any(|&id| engine.truncate_sequence(id, depth.len()).is_err());
    if lost {
        release(engine, sequences);
    }
    while sequences.len() < test.sequences {
        let id = engine.create_sequence()?;
        sequences.push(id);
        if !depth.is_empty() {
            engine.evaluate(&[Entry { sequence: id, tokens: depth, wanted: Wanted::Nothing }], &mut |_| {})?;
        }
    }
    let (prompt, generation) = timed.split_at(test.prompt);
    let started = Instant::now();
    for tokens in std::iter::once(prompt).filter(|prompt| !prompt.is_empty()).chain(generation.chunks(1)) {
        let entry = |&sequence: &SequenceId| Entry { sequence, tokens, wanted: Wanted::Last };
        let entries: Vec<Entry<'_>> = sequences.iter().map(entry).collect();
        engine.evaluate(&entries, &mut |_| {})?;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn release(engine: &mut Engine, sequences: &mut Vec<SequenceId>) {
    sequences.drain(..).for_each(|id| engine.release_sequence(id));
}

fn random_tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut state = 1u64;
    let token = |_| {
        // A linear congruential generator (Knuth's constants) is random enough for timing.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary as u64) as u32
    };
    (0..count).map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_as_the_field_names_them() {
        let test = |prompt, generation, depth, sequences| BenchTest { prompt, generation, depth, sequences };
        for (test, name) in [
            (BenchTest::prompt(512), "pp512"),
            (BenchTest::generation(128), "tg128"),
            (test(512, 128, 0, 1), "pp512+tg128"),
            (test(512, 0, 8192, 1), "pp512 @ d8192"),
            (test(0, 64, 16, 8), "tg64 @ d16 x8"),
        ] {
            assert_eq!(test.to_string(), name);
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (numbers, middle) in [(&[][..], 0.0), (&[3.0], 3.0), (&[9.0, 1.0], 5.0), (&[9.0, 1.0, 2.0], 2.0)] {
            assert_eq!(median(numbers), middle, "{numbers:?}");
        }
    }
}
