//! Tasks with choices: of each choice the mean log-probability of its tokens; the likeliest is what the model chooses.
//!
//! [`hellaswag`], [`winogrande`] and [`multiple_choice`] read the files that llama.cpp's `llama-perplexity` reads; where not
//! all tasks are wanted they draw the same ones, so that results compare. What all choices of a task begin with is computed
//! once.
//! Source of the rules: llama.cpp, `tools/perplexity/perplexity.cpp`.

mod accuracy;
mod error;
pub mod hellaswag;
mod mersenne_twister;
pub mod multiple_choice;
pub mod winogrande;

use std::ops::Range;

use ascua::engine::{Entry, SequenceId, Wanted};
use ascua::tokenizer::{EncodeOptions, Tokenizer};
use ascua::{Error, Flow, Model};

pub use accuracy::Accuracy;
pub use error::{ChoiceError, TaskFileError};

use crate::log_softmax::{LogSoftmax, evaluate_scored};

/// Sequences a model must be opened for: what the choices have in common, and four choices side by side.
pub const CHOICE_SEQUENCES: usize = 5;

/// A task, as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its place in the file, from 1.
    pub number: usize,
    /// What can be chosen.
    pub choices: Vec<Choice>,
}

/// One of a task's choices: the whole text with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The tokens that are scored.
    pub scored: Range<usize>,
    /// Whether it is a correct one.
    pub correct: bool,
}

impl Task {
    /// A task whose choices are scored from where their texts differ.
    fn of_texts(number: usize, tokenizer: &Tokenizer, texts: impl Iterator<Item = (Vec<u8>, bool)>) -> Task {
        let encode =
            |(text, correct): (Vec<u8>, bool)| (tokenizer.encode_bytes(&text, EncodeOptions::default()), correct);
        let encoded: Vec<(Vec<u32>, bool)> = texts.map(encode).collect();
        let common = common_length(encoded.iter().map(|(tokens, _)| tokens.as_slice()));
        let choice = |(tokens, correct): (Vec<u32>, bool)| Choice { scored: common..tokens.len(), tokens, correct };
        Task { number, choices: encoded.into_iter().map(choice).collect() }
    }

    /// Tokens that all choices begin with.
    fn common(&self) -> usize {
        common_length(self.choices.iter().map(|choice| choice.tokens.as_slice()))
    }
}

/// How many tokens at the start are the same in all texts; each keeps at least one of its own.
fn common_length<'a>(mut texts: impl Iterator<Item = &'a [u32]> + Clone) -> usize {
    let Some(first) = texts.next() else { return 0 };
    let least = texts.clone().map(<[u32]>::len).min().unwrap_or(usize::MAX).min(first.len());
    let same = |at: &usize| texts.clone().all(|text| text[*at] == first[*at]);
    (0..least.saturating_sub(1)).take_while(same).count()
}

/// What a model chose.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskResult {
    /// The task's place in the file, from 1.
    pub number: usize,
    /// Mean log-probability of each choice.
    pub scores: Vec<f64>,
    /// The likeliest; of equals the first.
    pub chosen: usize,
    /// Whether it is correct.
    pub correct: bool,
}

/// Scores every task; `on_task` is told of each and may stop.
///
/// The model needs [`CHOICE_SEQUENCES`] sequences.
///
/// # Errors
/// A task does not fit into the context, or nothing stands before what is to be scored.
pub fn score(
    model: &mut Model,
    tasks: &[Task],
    on_task: &mut dyn FnMut(&TaskResult, Accuracy) -> Flow,
) -> Result<Accuracy, ChoiceError> {
    let context = model.context();
    let mut accuracy = Accuracy::default();
    for task in tasks {
        let number = task.number;
        let tokens = task.choices.iter().map(|choice| choice.tokens.len()).max().unwrap_or(0);
        if tokens > context {
            return Err(ChoiceError::TooLong { number, tokens, context });
        }
        if task.choices.iter().any(|choice| choice.scored.start == 0) {
            return Err(ChoiceError::NoBeginning { number });
        }
        let scores = task_scores(model, task)?;
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let chosen = scores.iter().position(|&score| score == best).unwrap_or(0);
        let correct = task.choices.get(chosen).is_some_and(|choice| choice.correct);
        accuracy.add(correct, task.choices.len());
        if on_task(&TaskResult { number, scores, chosen, correct }, accuracy) == Flow::Stop {
            break;
        }
    }
    Ok(accuracy)
}

/// The mean log-probability of each choice.
fn task_scores(model: &mut Model, task: &Task) -> Result<Vec<f64>, Error> {
    let mut sums = vec![0.0; task.choices.len()];
    let stem = model.engine().create_sequence()?;
    let outcome = add_scores(model, task, stem, &mut sums);
    model.engine().release_sequence(stem);
    outcome?;
    let counts = task.choices.iter().map(|choice| choice.scored.len());
    Ok(sums.iter().zip(counts).map(|(sum, count)| sum / count.max(1) as f64).collect())
}

fn add_scores(model: &mut Model, task: &Task, stem: SequenceId, sums: &mut [f64]) -> Result<(), Error> {
    let (choices, common) = (&task.choices, task.common());
    // Row `row` predicts the token after it.
    let scored = |choice: usize, row: usize| choices[choice].scored.contains(&(row + 1));
    if common > 0 {
        let entry = Entry { sequence: stem, tokens: &choices[0].tokens[..common], wanted: Wanted::Last };
        let after_common = |_: usize, row: usize, logits: &[f32]| {
            let logits = LogSoftmax::new(logits);
            choices.iter().map(|choice| logits.log_probability(choice.tokens[row + 1])).collect::<Vec<f64>>()
        };
        evaluate_scored(model, &[entry], &after_common, &mut |_, row, found| {
            for (choice, log_probability) in found.into_iter().enumerate().filter(|&(choice, _)| scored(choice, row)) {
                sums[choice] += log_probability;
            }
        })?;
    }
    for first in (0..choices.len()).step_by(CHOICE_SEQUENCES - 1) {
        let members = first..choices.len().min(first + CHOICE_SEQUENCES - 1);
        let mut sequences: Vec<SequenceId> = Vec::new();
        let outcome = (|| {
            for _ in members.clone() {
                sequences.push(model.engine().fork_sequence(stem)?);
            }
            // The last token predicts nothing that is scored.
            let rest = |choice: usize| &choices[choice].tokens[common..choices[choice].tokens.len() - 1];
            let (of_entry, entries): (Vec<usize>, Vec<Entry<'_>>) = members
                .clone()
                .zip(&sequences)
                .filter(|&(choice, _)| !rest(choice).is_empty())
                .map(|(choice, &sequence)| {
                    let wanted = Wanted::From((choices[choice].scored.start - 1).saturating_sub(common));
                    (choice, Entry { sequence, tokens: rest(choice), wanted })
                })
                .unzip();
            let score = |entry: usize, row: usize, logits: &[f32]| {
                let (choice, row) = (of_entry[entry], common + row);
                scored(choice, row).then(|| LogSoftmax::new(logits).log_probability(choices[choice].tokens[row + 1]))
            };
            evaluate_scored(model, &entries, &score, &mut |entry, _, found| {
                sums[of_entry[entry]] += found.unwrap_or(0.0);
            })
        })();
        sequences.into_iter().for_each(|sequence| model.engine().release_sequence(sequence));
        outcome?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_texts_have_in_common_leaves_each_a_token() {
        for (texts, expected) in [
            (&[&[1, 2, 3][..], &[1, 2, 4]][..], 2),
            (&[&[1, 2], &[1, 2, 3]], 1),
            (&[&[1], &[2]], 0),
            (&[&[1, 2], &[1, 2]], 1),
            (&[&[]], 0),
        ] {
            assert_eq!(common_length(texts.iter().copied()), expected, "{texts:?}");
        }
    }
}
