//! The tokens still in the running, with their logits.
//!
//! A step starts *dense* (one logit per token of the vocabulary, in a buffer that is kept between steps) and becomes a
//! *list* when a sampler first drops tokens; with the default chain that is top-k, which picks its 40 out of 262,144 in
//! one scan. Invariants: no logit is NaN or +∞; a list holds no token whose logit was −∞ when the list was made; in a
//! sorted list logits fall, and equal logits stand in the order of their ids. After the first step nothing is allocated.

use std::cmp::Ordering;
use std::collections::HashMap;

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub token: u32,
    /// Its logit after the samplers so far.
    pub logit: f32,
    /// Its share among the candidates.
    pub probability: f32,
}

/// All candidates of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidates {
    dense: Vec<f32>,
    list: Vec<Candidate>,
    form: Form,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Form {
    #[default]
    Dense,
    Listed,
    Sorted,
}

/// Falling logits, then rising ids: a total order, so that every selection is reproducible.
fn rank(left: &Candidate, right: &Candidate) -> Ordering {
    right.logit.total_cmp(&left.logit).then(left.token.cmp(&right.token))
}

/// What stands in for a logit that is not a usable number: NaN is impossible, +∞ is as likely as can be.
pub(crate) fn bounded(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit.min(f32::MAX) }
}

impl Candidates {
    /// Starts a step.
    pub(crate) fn load(&mut self, logits: &[f32]) {
        self.dense.clear();
        self.dense.extend(logits.iter().map(|&logit| bounded(logit)));
        self.form = Form::Dense;
    }

    /// The number of logits the step started with.
    pub(crate) fn vocabulary_size(&self) -> usize {
        self.dense.len()
    }

    /// Rewrites the logits of the tokens in `tokens`.
    pub(crate) fn adjust<V>(&mut self, tokens: &HashMap<u32, V>, change: impl Fn(f32, &V) -> f32) {
        if self.form == Form::Dense {
            for (&token, value) in tokens {
                if let Some(logit) = self.dense.get_mut(token as usize) {
                    *logit = bounded(change(*logit, value));
                }
            }
            return;
        }
        for candidate in &mut self.list {
            if let Some(value) = tokens.get(&candidate.token) {
                candidate.logit = bounded(change(candidate.logit, value));
            }
        }
        self.form = Form::Listed;
    }

    /// Rewrites every logit by a function that never swaps the order of two.
    pub(crate) fn scale(&mut self, change: impl Fn(f32) -> f32) {
        match self.form {
            Form::Dense => self.dense.iter_mut().for_each(|logit| *logit = bounded(change(*logit))),
            _ => self.list.iter_mut().for_each(|candidate| candidate.logit = bounded(change(candidate.logit))),
        }
    }

    /// Shows every logit above −∞ to `visit`.
    pub(crate) fn for_each_logit(&self, mut visit: impl FnMut(f32)) {
        let mut finite = |logit: f32| {
            if logit > f32::NEG_INFINITY {
                visit(logit);
            }
        };
        match self.form {
            Form::Dense => self.dense.iter().for_each(|&logit| finite(logit)),
            _ => self.list.iter().for_each(|candidate| finite(candidate.logit)),
        }
    }

    /// The greatest logit; −∞ without candidates.
    pub(crate) fn maximum(&self) -> f32 {
        match self.form {
            Form::Sorted => self.list.first().map_or(f32::NEG_INFINITY, |best| best.logit),
            Form::Listed => self.list.iter().fold(f32::NEG_INFINITY, |most, candidate| most.max(candidate.logit)),
            Form::Dense => greatest(&self.dense),
        }
    }

    /// Drops the candidates whose logit is below `limit`.
    pub(crate) fn keep_from(&mut self, limit: f32) {
        match self.form {
            Form::Dense => self.fill_list(|logit| logit >= limit),
            _ => self.list.retain(|candidate| candidate.logit >= limit),
        }
    }

    /// Keeps the `count` most likely candidates, sorted.
    pub(crate) fn keep_top(&mut self, count: usize) {
        match self.form {
            Form::Dense if count < self.dense.len() => select_top(&self.dense, count, &mut self.list),
            Form::Sorted => self.list.truncate(count),
            _ => {
                self.list();
                self.sort_part(0, count);
                self.list.truncate(count);
            }
        }
        self.form = Form::Sorted;
    }

    /// The candidates as a list, in any order.
    pub(crate) fn list(&mut self) -> &mut Vec<Candidate> {
        if self.form == Form::Dense {
            self.fill_list(|_| true);
        }
        &mut self.list
    }

    /// The candidates as a sorted list.
    pub(crate) fn sorted(&mut self) -> &mut Vec<Candidate> {
        self.list();
        if self.form != Form::Sorted {
            self.list.sort_unstable_by(rank);
            self.form = Form::Sorted;
        }
        &mut self.list
    }

    /// Whether the list is in falling order.
    pub(crate) fn is_sorted(&self) -> bool {
        self.form == Form::Sorted
    }

    /// Puts the right candidates, in order, at `from..to` of a list whose first `from` already are.
    pub(crate) fn sort_part(&mut self, from: usize, to: usize) {
        let rest = self.list.get_mut(from..).unwrap_or_default();
        let count = to.saturating_sub(from).min(rest.len());
        if count > 0 && count < rest.len() {
            rest.select_nth_unstable_by(count - 1, rank);
        }
        rest[..count].sort_unstable_by(rank);
    }

    /// Keeps the first `count` of the list, which the caller has put in order.
    pub(crate) fn keep_first(&mut self, count: usize) {
        self.list.truncate(count);
        self.form = Form::Sorted;
    }

    /// Replaces the list by candidates in an order that is not that of their logits.
    pub(crate) fn replace(&mut self, kept: impl Iterator<Item = Candidate>) {
        self.list.clear();
        self.list.extend(kept);
        self.form = Form::Listed;
    }

    /// Fills in the probabilities (softmax), and gives the list.
    pub(crate) fn normalise(&mut self) -> &mut Vec<Candidate> {
        self.list();
        let maximum = self.maximum();
        let mut total = 0.0_f64;
        for candidate in &mut self.list {
            // Without any possible candidate the difference is NaN, and all stay at zero.
            candidate.probability = (candidate.logit - maximum).exp().max(0.0);
            total += f64::from(candidate.probability);
        }
        if total > 0.0 {
            let share = (1.0 / total) as f32;
            self.list.iter_mut().for_each(|candidate| candidate.probability *= share);
        }
        &mut self.list
    }

    fn fill_list(&mut self, keep: impl Fn(f32) -> bool) {
        self.list.clear();
        self.list.extend(
            (0..)
                .zip(&self.dense)
                .filter(|&(_, &logit)| logit > f32::NEG_INFINITY && keep(logit))
                .map(|(token, &logit)| Candidate { token, logit, probability: 0.0 }),
        );
        self.form = Form::Listed;
    }
}

/// The greatest of many logits, NaN ignored, in a form that compiles to vector code.
fn greatest(logits: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (rows, rest) = logits.as_chunks::<16>();
    for row in rows {
        for (most, &logit) in lanes.iter_mut().zip(row) {
            *most = if logit > *most { logit } else { *most };
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |most, &logit| if logit > most { logit } else { most })
}

/// The first index of the greatest logit, NaN ignored; `None` when no logit is above −∞.
pub(crate) fn first_greatest(logits: &[f32]) -> Option<u32> {
    let most = greatest(logits);
    if most == f32::NEG_INFINITY {
        return None;
    }
    logits.iter().position(|&logit| logit == most).and_then(|index| u32::try_from(index).ok())
}

/// Scans the logits once, keeping the best `count`: whole rows below the worst of those kept are skipped unseen.
fn select_top(logits: &[f32], count: usize, list: &mut Vec<Candidate>) {
    const ROW: usize = 32;
    list.clear();
    if count == 0 {
        return;
    }
    // Room to collect before each cut back to `count`.
    let room = count.saturating_mul(2).max(4 * ROW);
    let mut worst = f32::NEG_INFINITY;
    for (row_index, row) in logits.chunks(ROW).enumerate() {
        if greatest(row) <= worst {
            continue;
        }
        for (token, &logit) in (row_index * ROW..).zip(row) {
            // An equal logit further on has a greater id and so loses.
            if logit > worst {
                list.push(Candidate { token: token as u32, logit, probability: 0.0 });
            }
        }
        if list.len() >= room {
            list.select_nth_unstable_by(count - 1, rank);
            list.truncate(count);
            worst = list[count - 1].logit;
        }
    }
    list.sort_unstable_by(rank);
    list.truncate(count);
}

/// The `count` most likely tokens of a row of logits, with their probabilities among **all** tokens.
///
/// These are the model's own opinions, before any sampler; a server reports them as `logprobs`.
pub fn most_likely(logits: &[f32], count: usize) -> Vec<Candidate> {
    let mut candidates = Candidates::default();
    candidates.load(logits);
    let maximum = candidates.maximum();
    let mut total = 0.0_f64;
    candidates.for_each_logit(|logit| total += f64::from((logit - maximum).exp()));
    candidates.keep_top(count);
    let mut list = candidates.list;
    for candidate in &mut list {
        candidate.probability = (f64::from((candidate.logit - maximum).exp()) / total) as f32;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn tokens(list: &[Candidate]) -> Vec<u32> {
        list.iter().map(|candidate| candidate.token).collect()
    }

    #[test]
    fn selection_equals_a_full_sort() {
        let mut random = Random::new(1);
        for size in [1_usize, 2, 31, 32, 33, 100, 1000, 5000] {
            for steps in [3.0, 1e6] {
                // Few steps make many ties.
                let logits: Vec<f32> = (0..size).map(|_| (random.unit() * steps).floor() as f32).collect();
                let mut order: Vec<u32> = (0..size as u32).collect();
                order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
                assert_eq!(first_greatest(&logits), Some(order[0]));
                for count in [0, 1, 2, 40, 127, 128, 129, 999, size, size + 1] {
                    let expected = &order[..count.min(size)];
                    let mut candidates = Candidates::default();
                    candidates.load(&logits);
                    candidates.keep_top(count);
                    assert_eq!(tokens(candidates.sorted()), expected, "dense, {count} of {size}");
                    candidates.load(&logits);
                    candidates.list().reverse();
                    candidates.keep_top(count);
                    assert_eq!(tokens(candidates.sorted()), expected, "listed, {count} of {size}");
                }
            }
        }
    }

    #[test]
    fn unusable_logits_are_bounded() {
        let mut candidates = Candidates::default();
        candidates.load(&[f32::NAN, 1.0, f32::INFINITY, f32::NEG_INFINITY, -1.0, f32::INFINITY]);
        candidates.normalise();
        assert_eq!(tokens(candidates.sorted()), [2, 5, 1, 4]);
        let probabilities: Vec<f32> = candidates.list().iter().map(|candidate| candidate.probability).collect();
        assert_eq!(probabilities, [0.5, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn most_likely_tells_shares_of_the_whole() {
        let logits = [0.1_f32.ln(), 0.4_f32.ln(), f32::NEG_INFINITY, 0.3_f32.ln(), 0.2_f32.ln()];
        let top = most_likely(&logits, 2);
        assert_eq!(tokens(&top), [1, 3]);
        assert!((top[0].probability - 0.4).abs() < 1e-6 && (top[1].probability - 0.3).abs() < 1e-6, "{top:?}");
        assert!(most_likely(&[], 3).is_empty());
        assert!(most_likely(&[f32::NAN; 4], 3).is_empty());
    }
}
