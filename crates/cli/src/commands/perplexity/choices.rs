//! `--hellaswag`, `--winogrande`, `--multiple-choice`: how many tasks a model answers correctly.

use std::path::Path;

use anyhow::Context as _;
use ascua::Flow;
use ascua::tokenizer::Tokenizer;
use ascua_eval::choices::{self, Accuracy, CHOICE_SEQUENCES, Task, TaskFileError, TaskResult};
use serde::Serialize;

use super::Arguments;
use crate::failure::Status;
use crate::interrupt::Watch;
use crate::output;
use crate::progress::CountProgress;

/// Tasks of HellaSwag that are scored where nothing is said.
const HELLASWAG_TASKS: usize = 400;

/// The file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Six lines a task.
    HellaSwag,
    /// CSV.
    WinoGrande,
    /// Binary.
    MultipleChoice,
}

impl Format {
    fn read(self, file: &[u8], tokenizer: &Tokenizer, most: Option<usize>) -> Result<Vec<Task>, TaskFileError> {
        let most = most.or((self == Format::HellaSwag).then_some(HELLASWAG_TASKS));
        // 0: all.
        let most = most.filter(|&most| most > 0);
        match self {
            Format::HellaSwag => choices::hellaswag::tasks(file, tokenizer, most),
            Format::WinoGrande => choices::winogrande::tasks(file, tokenizer, most),
            Format::MultipleChoice => choices::multiple_choice::tasks(file, tokenizer, most),
        }
    }
}

#[derive(Serialize)]
struct Report {
    tasks: usize,
    correct: usize,
    accuracy: f64,
    stderr: f64,
    interval_95: [f64; 2],
    chance: f64,
    results: Vec<TaskReport>,
}

#[derive(Serialize)]
struct TaskReport {
    task: usize,
    chosen: usize,
    correct: bool,
    scores: Vec<f64>,
}

impl From<&TaskResult> for TaskReport {
    fn from(TaskResult { number, scores, chosen, correct }: &TaskResult) -> TaskReport {
        TaskReport { task: *number, chosen: *chosen, correct: *correct, scores: scores.clone() }
    }
}

pub fn run(arguments: &Arguments, format: Format, path: &Path) -> anyhow::Result<Status> {
    let file = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut options = arguments.options(arguments.window())?;
    options.sequences = CHOICE_SEQUENCES;
    let mut model = arguments.flags.load_with(&arguments.model, &options)?.model;
    let cannot_use = || format!("cannot use {}", path.display());
    let tasks = format.read(&file, model.tokenizer()?, arguments.tasks).with_context(cannot_use)?;
    drop(file);
    let watch = Watch::new();
    let mut results = Vec::new();
    let mut written = Ok(());
    let mut progress = CountProgress::new("scoring", "tasks");
    let accuracy = choices::score(&mut model, &tasks, &mut |result, so_far| {
        if arguments.json {
            progress.report(so_far.tasks, tasks.len());
            results.push(TaskReport::from(result));
        } else {
            written = output::line(&running(so_far, tasks.len()));
        }
        if watch.is_raised() || written.is_err() { Flow::Stop } else { Flow::Continue }
    });
    let accuracy = accuracy.with_context(cannot_use)?;
    drop(progress);
    written?;
    if arguments.json {
        let (low, high) = accuracy.interval();
        output::json(&Report {
            tasks: accuracy.tasks,
            correct: accuracy.correct,
            accuracy: accuracy.share(),
            stderr: accuracy.standard_error(),
            interval_95: [low, high],
            chance: accuracy.chance(),
            results,
        })?;
    } else {
        output::line(&summary(accuracy))?;
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}

fn running(accuracy: Accuracy, total: usize) -> String {
    let (low, high) = accuracy.interval();
    let Accuracy { tasks, .. } = accuracy;
    format!("[{tasks}/{total}] {:.4} % ({:.2} to {:.2} %)", accuracy.share() * 100.0, low * 100.0, high * 100.0)
}

fn summary(accuracy: Accuracy) -> String {
    let (low, high) = accuracy.interval();
    format!(
        "accuracy {:.4} ± {:.4} %: {} of {} correct; {:.2} to {:.2} % with a probability of 95 %, guessing {:.2} %",
        accuracy.share() * 100.0,
        accuracy.standard_error() * 100.0,
        accuracy.correct,
        accuracy.tasks,
        low * 100.0,
        high * 100.0,
        accuracy.chance() * 100.0
    )
}
