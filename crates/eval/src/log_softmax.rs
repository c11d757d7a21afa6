//! Logits to probabilities, and rows of them with several threads.

use ascua::engine::{Entry, Wanted};
use ascua::{Error, Model, available_threads};

/// A row of logits, normalised.
#[derive(Clone, Copy)]
pub(crate) struct LogSoftmax<'a> {
    /// The logits.
    pub logits: &'a [f32],
    /// Greatest logit.
    pub max: f32,
    /// `log(sum(exp(logit - max)))`
    pub log_sum: f64,
}

impl<'a> LogSoftmax<'a> {
    pub(crate) fn new(logits: &'a [f32]) -> LogSoftmax<'a> {
        /// Independent sums, so that the additions overlap.
        const LANES: usize = 8;
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sums = [0f64; LANES];
        for part in logits.chunks(LANES) {
            for (sum, logit) in sums.iter_mut().zip(part) {
                *sum += f64::from((logit - max).exp());
            }
        }
        LogSoftmax { logits, max, log_sum: sums.iter().sum::<f64>().ln() }
    }

    /// Logarithm of a token's probability.
    pub(crate) fn log_probability(&self, token: u32) -> f64 {
        f64::from(self.logits[token as usize] - self.max) - self.log_sum
    }
}

/// Evaluates `entries` and gives what `score` makes of each wanted row of logits to `sink`, in order; `score` is told the
/// row's entry and its place in it, and runs on several threads.
pub(crate) fn evaluate_scored<T: Send>(
    model: &mut Model,
    entries: &[Entry<'_>],
    score: &(dyn Fn(usize, usize, &[f32]) -> T + Sync),
    sink: &mut dyn FnMut(usize, usize, T),
) -> Result<(), Error> {
    let threads = available_threads();
    let vocabulary = model.engine().vocabulary();
    // So many that starting threads does not count.
    let most = 16 * threads;
    let mut rows: Vec<(usize, usize)> = Vec::with_capacity(most);
    let mut logits: Vec<f32> = Vec::new();
    let mut scored = |rows: &mut Vec<(usize, usize)>, logits: &mut Vec<f32>| {
        let mut results: Vec<Option<T>> = rows.iter().map(|_| None).collect();
        let share = rows.len().div_ceil(threads).max(1);
        let parts = rows.chunks(share).zip(logits.chunks(share * vocabulary)).zip(results.chunks_mut(share));
        std::thread::scope(|scope| {
            for ((rows, logits), results) in parts {
                scope.spawn(move || {
                    for ((&(entry, row), logits), result) in rows.iter().zip(logits.chunks(vocabulary)).zip(results) {
                        *result = Some(score(entry, row, logits));
                    }
                });
            }
        });
        for (&(entry, row), result) in rows.iter().zip(results) {
            sink(entry, row, result.expect("every row was scored"));
        }
        rows.clear();
        logits.clear();
    };
    model.engine().evaluate(entries, &mut |found| {
        rows.push((found.entry, found.row));
        logits.extend_from_slice(found.values);
        if rows.len() == most {
            scored(&mut rows, &mut logits);
        }
    })?;
    scored(&mut rows, &mut logits);
    Ok(())
}

/// As [`evaluate_scored`], of one fresh sequence; the rows from `first` on are wanted.
pub(crate) fn evaluate_fresh<T: Send>(
    model: &mut Model,
    tokens: &[u32],
    first: usize,
    score: &(dyn Fn(usize, &[f32]) -> T + Sync),
    sink: &mut dyn FnMut(usize, T),
) -> Result<(), Error> {
    let sequence = model.engine().create_sequence()?;
    let entry = Entry { sequence, tokens, wanted: Wanted::From(first) };
    let outcome =
        evaluate_scored(model, &[entry], &|_, row, logits| score(row, logits), &mut |_, row, scored| sink(row, scored));
    model.engine().release_sequence(sequence);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_are_equally_likely() {
        for size in [1, 7, 8, 100] {
            let logits = vec![3.5; size];
            let found = -LogSoftmax::new(&logits).log_probability(size as u32 - 1);
            assert!((found - (size as f64).ln()).abs() < 1e-6, "{size}: {found}");
        }
    }
}
