//! The rows of a benchmark, and the forms they are printed in.

use std::path::Path;

use ascua::{ModelOptions, TimeShare};
use ascua_eval::{BenchResult, BenchTest, ModelWork};
use clap::ValueEnum;
use serde::Serialize;

use super::chart::{Bar, Panel};
use super::limits::Limits;
use crate::output;

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table in Markdown
    #[value(name = "md")]
    Markdown,
    /// Values with commas between, one row a line
    Csv,
    /// A list of objects
    Json,
}

/// One row.
#[derive(Serialize)]
pub struct Row {
    test: String,
    tokens_per_second: f64,
    stddev: f64,
    samples: Vec<f64>,
    median: f64,
    model: String,
    threads: usize,
    ubatch: usize,
    prompt: usize,
    generation: usize,
    depth: usize,
    sequences: usize,
    /// Bytes of weights read in a second of generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights_per_second: Option<f64>,
    /// Operations of products with weights in a second of a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations_per_second: Option<f64>,
    /// What the machine could do of that at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_per_second: Option<f64>,
    /// Where the time went, the uncounted run included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<Share>,
}

/// What one kind of work took.
#[derive(Serialize)]
struct Share {
    work: String,
    seconds: f64,
    /// Of all time, from 0 to 1.
    share: f64,
}

impl Row {
    /// The row of a result.
    pub fn new(model: &str, options: &ModelOptions, result: &BenchResult) -> Row {
        let BenchTest { prompt, generation, depth, sequences } = result.test;
        let title = Path::new(model).file_stem().map_or(model.to_owned(), |stem| stem.to_string_lossy().into_owned());
        // A step of a pair counts as one of its generation.
        let step = if generation == 0 { prompt * sequences } else { sequences };
        let name = if model.ends_with(".gguf") { title } else { model.to_owned() };
        Row {
            test: result.test.to_string(),
            tokens_per_second: result.mean(),
            stddev: result.standard_deviation(),
            samples: result.samples.clone(),
            median: result.median(),
            model: name,
            threads: options.workers().for_tokens(step),
            ubatch: options.step_tokens,
            prompt,
            generation,
            depth,
            sequences,
            weights_per_second: None,
            operations_per_second: None,
            limit_per_second: None,
            profile: Vec::new(),
        }
    }

    /// Adds where the time went.
    pub fn with_profile(mut self, shares: &[TimeShare]) -> Row {
        let all: f64 = shares.iter().map(|share| share.time.as_secs_f64()).sum();
        let share = |share: &TimeShare| {
            let seconds = share.time.as_secs_f64();
            Share { work: share.label.clone(), seconds, share: seconds / all.max(f64::MIN_POSITIVE) }
        };
        self.profile = shares.iter().map(share).collect();
        self
    }

    /// The profile as lines; what takes less than a thousandth is left out.
    fn profile_lines(&self) -> impl Iterator<Item = String> + '_ {
        let shares = self.profile.iter().filter(|share| share.share >= 0.001);
        shares.map(|share| format!("{:>6.1} %  {}", share.share * 100.0, share.work))
    }

    /// Adds what the model asked of the machine; a pair of prompt and generation asks for both and has no share.
    pub fn with_work(mut self, work: &ModelWork, test: &BenchTest, limits: Option<&Limits>) -> Row {
        let limit = limits.and_then(|limits| limits.of(self.threads));
        if test.prompt == 0 {
            let steps = self.median / test.sequences as f64;
            self.weights_per_second = Some(steps * work.bytes_per_step(test.sequences));
            self.limit_per_second = limit.map(|limit| limit.bandwidth);
        } else if test.generation == 0 {
            self.operations_per_second = Some(self.median * work.operations_per_token());
            self.limit_per_second = limit.map(|limit| limit.dot);
        }
        self
    }

    /// The row as a bar of a chart.
    fn bar(&self) -> Bar {
        Bar {
            label: format!("{} · {} · {} thr", self.model, self.test, self.threads),
            value: self.median,
            spread: (
                self.samples.iter().copied().fold(f64::INFINITY, f64::min),
                self.samples.iter().copied().fold(0.0, f64::max),
            ),
        }
    }

    /// The reached part of the machine's limit in words.
    fn share(&self) -> String {
        let reached = match (self.weights_per_second, self.operations_per_second) {
            (Some(bytes), _) => (bytes, format!("{:.1} GB/s", bytes / 1e9)),
            (_, Some(operations)) => (operations, format!("{:.0} GOPS", operations / 1e9)),
            (None, None) => return String::new(),
        };
        match self.limit_per_second {
            Some(limit) => format!("{} = {:.0} %", reached.1, reached.0 / limit * 100.0),
            None => reached.1,
        }
    }
}

/// The rows by what they time: each kind has its own scale.
pub fn panels(rows: &[Row]) -> Vec<Panel> {
    let kind = |row: &Row| match (row.prompt, row.generation) {
        (_, 0) => "prompt",
        (0, _) => "generation",
        _ => "prompt and generation",
    };
    let panel = |name: &str| {
        let bars = rows.iter().filter(|row| kind(row) == name).map(Row::bar).collect();
        Panel { title: format!("{name}, tokens per second"), bars }
    };
    let kinds = ["prompt", "generation", "prompt and generation"];
    kinds.into_iter().map(panel).filter(|panel| !panel.bars.is_empty()).collect()
}

/// Prints rows as they come, or all at the end.
pub struct Printer {
    format: Format,
    shares: bool,
}

impl Printer {
    /// Starts the output.
    pub fn new(format: Format, limits: Option<&Limits>) -> anyhow::Result<Printer> {
        match (format, limits) {
            (Format::Markdown, Some(limits)) => {
                limits.lines().iter().try_for_each(|line| output::line(line))?;
                output::line("\n| model | threads | ubatch | test | median t/s | mean ± sd | weights, of the limit |")?;
                output::line("|---|---:|---:|---|---:|---:|---:|")?;
            }
            (Format::Markdown, None) => {
                output::line(
                    "| model | threads | ubatch | test | median t/s | mean ± sd |\n|---|---:|---:|---|---:|---:|",
                )?;
            }
            (Format::Csv, _) => output::line("model,threads,ubatch,test,median,mean,stddev,runs,reached,limit")?,
            (Format::Json, Some(limits)) => limits.lines().iter().for_each(|line| output::note(line)),
            (Format::Json, None) => {}
        }
        Ok(Printer { format, shares: limits.is_some() })
    }

    /// Prints a row where rows are printed as they come.
    pub fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        let Row { model, threads, ubatch, test, median, tokens_per_second, stddev, samples, .. } = row;
        match self.format {
            Format::Markdown => {
                let line = format!(
                    "| {model} | {threads} | {ubatch} | {test} | {median:.2} | {tokens_per_second:.2} ± {stddev:.2} |"
                );
                let share = if self.shares { format!(" {} |", row.share()) } else { String::new() };
                output::line(&(line + &share))?;
            }
            Format::Csv => {
                let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
                let reached = number(row.weights_per_second.or(row.operations_per_second));
                let (limit, runs) = (number(row.limit_per_second), samples.len());
                output::line(&format!(
                    "{},{threads},{ubatch},{test},{median},{tokens_per_second},{stddev},{runs},{reached},{limit}",
                    quoted(model)
                ))?;
            }
            Format::Json => {}
        }
        Ok(())
    }

    /// Prints what is printed at the end.
    pub fn finish(self, rows: &[Row]) -> anyhow::Result<()> {
        match self.format {
            Format::Json => output::json(&rows),
            Format::Markdown => Ok(output::lines(&profiles(rows).collect::<Vec<_>>())?),
            Format::Csv => {
                profiles(rows).for_each(|line| output::note(&line));
                Ok(())
            }
        }
    }
}

/// The profiles of all rows that have one, as lines.
fn profiles(rows: &[Row]) -> impl Iterator<Item = String> + '_ {
    rows.iter().filter(|row| !row.profile.is_empty()).flat_map(|row| {
        let title =
            format!("\nwhere the time went, {}, {}, {} threads (the first of them)", row.model, row.test, row.threads);
        std::iter::once(title).chain(row.profile_lines())
    })
}

/// A value of a CSV row.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
