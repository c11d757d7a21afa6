//! `ascua gguf diff`: what sets two model files apart.

use std::ops::ControlFlow;
use std::path::PathBuf;

use ascua::gguf::{Gguf, Metadata};
use ascua_convert::inspect::{self, Differences, Presence, TensorDifference, TensorDifferenceKind};
use clap::Args;
use serde::Serialize;

use crate::failure::Status;
use crate::interrupt::Watch;
use crate::metadata_report::{Length, shown};
use crate::output_flags::JsonFlag;
use crate::progress::WorkProgress;
use crate::tensor_report::shape;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf diff model-f16.gguf model-q4_k_m.gguf          how far each tensor is off
  ascua gguf diff a.gguf b.gguf --no-metadata --tolerance 1e-6 && echo close enough
  ascua gguf diff a.gguf b.gguf --json | jq '.tensors[] | select(.relative_error > 0.1).name'

Values are compared after decoding; the error of a tensor is the size of the difference relative to the size of the
first file's tensor. The order of keys and tensors does not count.

Exit codes: 0 the same, 1 failure, 2 wrong usage, 3 they differ, 130 interrupted by Ctrl-C";

/// Compare two files: keys, shapes, types, values
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file, the first part of a split model
    first: PathBuf,

    /// The other one
    second: PathBuf,

    /// Leave the keys out
    #[arg(long)]
    no_metadata: bool,

    /// Tensors with a relative error up to this count as the same, whatever their type
    #[arg(long, value_name = "X", value_parser = tolerance)]
    tolerance: Option<f64>,

    #[command(flatten)]
    json: JsonFlag,
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number >= 0.0);
    number.ok_or_else(|| "a number from 0".into())
}

#[derive(Serialize)]
struct Report {
    same: bool,
    equal_tensors: usize,
    metadata: Vec<KeyReport>,
    tensors: Vec<TensorReport>,
}

#[derive(Serialize)]
struct KeyReport {
    key: String,
    first: Option<String>,
    second: Option<String>,
}

#[derive(Default, Serialize)]
struct TensorReport {
    name: String,
    /// `missing`, `shape` or `data`.
    difference: &'static str,
    /// In the first and in the second file; null where it is not.
    shapes: Option<(Vec<u64>, Vec<u64>)>,
    types: Option<(&'static str, &'static str)>,
    only_in: Option<&'static str>,
    relative_error: Option<f64>,
    largest_error: Option<f64>,
    differing_values: Option<u64>,
    not_finite: Option<u64>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let (first, second) = (Gguf::open(&arguments.first)?, Gguf::open(&arguments.second)?);
    let watch = Watch::new();
    let mut progress = WorkProgress::new("comparing");
    let differences = inspect::diff(&first, &second, &mut |name, done, total| {
        progress.report(name, done, total);
        if watch.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let Ok(differences) = differences else { return Ok(Status::Interrupted) };
    let report = report(differences, &arguments, first.metadata(), second.metadata());
    arguments.json.print(&report, lines)?;
    Ok(if report.same { Status::Done } else { Status::No })
}

fn report(differences: Differences, arguments: &Arguments, first: &Metadata, second: &Metadata) -> Report {
    let text = |metadata: &Metadata, key: &str| metadata.get(key).map(|value| shown(value, Length::Cut));
    let keys = if arguments.no_metadata { Vec::new() } else { differences.keys };
    let metadata: Vec<KeyReport> = keys
        .into_iter()
        .map(|difference| KeyReport {
            first: text(first, &difference.key),
            second: text(second, &difference.key),
            key: difference.key,
        })
        .collect();
    let close = |difference: &TensorDifference| match (&difference.kind, arguments.tolerance) {
        (TensorDifferenceKind::Data { error, .. }, Some(most)) => error.not_finite == 0 && error.relative() <= most,
        _ => false,
    };
    let different: Vec<TensorDifference> = differences.tensors.into_iter().filter(|found| !close(found)).collect();
    let same = metadata.is_empty() && different.is_empty();
    let tensors = different.into_iter().map(TensorReport::from).collect();
    Report { same, equal_tensors: differences.equal_tensors, metadata, tensors }
}

impl From<TensorDifference> for TensorReport {
    fn from(difference: TensorDifference) -> TensorReport {
        let name = difference.name;
        match difference.kind {
            TensorDifferenceKind::Missing(presence) => {
                let only_in = Some(if presence == Presence::First { "first" } else { "second" });
                TensorReport { name, difference: "missing", only_in, ..TensorReport::default() }
            }
            TensorDifferenceKind::Shape(first, second) => {
                TensorReport { name, difference: "shape", shapes: Some((first, second)), ..TensorReport::default() }
            }
            TensorDifferenceKind::Data { types, error } => TensorReport {
                name,
                difference: "data",
                types: Some((types.0.name(), types.1.name())),
                relative_error: Some(error.relative()),
                largest_error: Some(error.largest),
                differing_values: Some(error.differing),
                not_finite: Some(error.not_finite),
                ..TensorReport::default()
            },
        }
    }
}

impl TensorReport {
    /// For people.
    fn line(&self) -> String {
        let name = self.name.escape_debug().to_string();
        if let Some(only_in) = self.only_in {
            return format!("{name:<40} only in the {only_in} file");
        }
        if let Some((first, second)) = &self.shapes {
            return format!("{name:<40} shape {} → {}", shape(first), shape(second));
        }
        let types = self.types.map_or(String::new(), |(first, second)| {
            if first == second { first.to_owned() } else { format!("{first} → {second}") }
        });
        let mut line = format!(
            "{name:<40} {types:<18} error {:.3e}, at most {:.3e}, {} values differ",
            self.relative_error.unwrap_or_default(),
            self.largest_error.unwrap_or_default(),
            self.differing_values.unwrap_or_default()
        );
        if let Some(count) = self.not_finite.filter(|&count| count > 0) {
            line.push_str(&format!(", {count} are no number in one file"));
        }
        line
    }
}

fn lines(report: &Report) -> Vec<String> {
    let absent = || "nothing".to_owned();
    let key = |key: &KeyReport| {
        let (first, second) = (key.first.clone(), key.second.clone());
        format!("{}: {} → {}", key.key.escape_debug(), first.unwrap_or_else(absent), second.unwrap_or_else(absent))
    };
    let mut lines: Vec<String> = report.metadata.iter().map(key).collect();
    lines.extend(report.tensors.iter().map(TensorReport::line));
    let (keys, tensors, equal) = (report.metadata.len(), report.tensors.len(), report.equal_tensors);
    lines.push(match report.same {
        true => format!("the same: {equal} tensors of equal bytes"),
        false => format!("different: {keys} keys, {tensors} tensors; {equal} tensors of equal bytes"),
    });
    lines
}
