//! Writing a planned model: warnings, progress, and what it came to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ascua::gguf::TensorType;
use ascua_convert::quantize::{Overwrite, Plan, PlannedTensor, Progress, QuantizeError};
use serde::Serialize;

use crate::failure::Status;
use crate::interrupt::Watch;
use crate::mix_flags::MixFlags;
use crate::output;
use crate::progress::WorkProgress;
use crate::quantity::bytes;

/// How a model is called in messages.
pub struct Writing<'a> {
    /// What is being done, such as `quantising`.
    pub verb: &'static str,
    /// Name of the mix.
    pub type_name: &'static str,
    /// Where to.
    pub output: &'a Path,
}

/// Writes the model as the flags say, or only tells what it would come to.
pub fn finish(plan: &Plan<'_>, writing: &Writing<'_>, flags: &MixFlags) -> anyhow::Result<Status> {
    warn_of_plan(plan);
    let mut report = Report {
        output: Vec::new(),
        parts: 0,
        file_type: writing.type_name,
        bytes_before: plan.bytes_before(),
        bytes_after: plan.bytes_after(),
        bits_per_weight: plan.bytes_after() as f64 * 8.0 / plan.elements() as f64,
        fallbacks: plan.tensors.iter().filter(|tensor| tensor.instead_of.is_some()).count(),
        seconds: None,
        tensors: plan.tensors.iter().map(TensorReport::from).collect(),
    };
    if flags.dry_run {
        report.parts = plan.targets(writing.output)?.len();
    } else {
        let started = Instant::now();
        match write(plan, writing.verb, writing.output, flags.force.overwrite(), &Watch::new()) {
            Ok(written) => {
                report.parts = written.len();
                report.output = written.iter().map(|path| path.display().to_string()).collect();
            }
            Err(QuantizeError::Stopped) => {
                output::note("stopped; nothing was written");
                return Ok(Status::Interrupted);
            }
            Err(error) => return Err(error.into()),
        }
        report.seconds = Some(started.elapsed().as_secs_f64());
    }
    flags.json.print(&report, lines)?;
    Ok(Status::Done)
}

/// What was written, or would be.
#[derive(Serialize)]
struct Report {
    output: Vec<String>,
    parts: usize,
    file_type: &'static str,
    bytes_before: u64,
    bytes_after: u64,
    bits_per_weight: f64,
    fallbacks: usize,
    seconds: Option<f64>,
    tensors: Vec<TensorReport>,
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    shape: Vec<u64>,
    from: &'static str,
    to: &'static str,
    bytes: u64,
    instead_of: Option<&'static str>,
}

impl From<&PlannedTensor> for TensorReport {
    fn from(tensor: &PlannedTensor) -> TensorReport {
        TensorReport {
            name: tensor.target.name.clone(),
            shape: tensor.target.shape.clone(),
            from: tensor.source.tensor_type.name(),
            to: tensor.target.tensor_type.name(),
            bytes: tensor.target.bytes(),
            instead_of: tensor.instead_of.map(TensorType::name),
        }
    }
}

/// Says once for each kind of tensor what it cannot become; a large model has hundreds of each.
pub fn warn_of_plan(plan: &Plan<'_>) {
    let mut kinds: BTreeMap<(u64, &str, &str), (&str, usize)> = BTreeMap::new();
    for tensor in &plan.tensors {
        if let Some(wanted) = tensor.instead_of {
            let kind = (tensor.target.row_elements(), wanted.name(), tensor.target.tensor_type.name());
            kinds.entry(kind).or_insert((&tensor.target.name, 0)).1 += 1;
        }
    }
    for ((elements, wanted, instead), (first, count)) in kinds {
        let others = if count > 1 { format!(" and {} others", count - 1) } else { String::new() };
        output::warn(&format!("rows of {elements} are not whole blocks of {wanted}: {instead} for `{first}`{others}"));
    }
    if let Some(tensor) = plan.tensors.iter().find(|tensor| tensor.lacks_importance) {
        output::warn(&format!(
            "`{}` would be {}, which is garbage without an importance matrix (--imatrix)",
            tensor.target.name, tensor.target.tensor_type
        ));
    }
}

/// Writes the model with its progress shown, until the watch sees Ctrl-C.
pub fn write(
    plan: &Plan<'_>,
    verb: impl Into<String>,
    output: &Path,
    overwrite: Overwrite,
    watch: &Watch,
) -> Result<Vec<PathBuf>, QuantizeError> {
    plan.write(output, overwrite, &mut report(verb, watch))
}

/// Shows the progress of a writing, and stops it when the watch sees Ctrl-C.
pub fn report(verb: impl Into<String>, watch: &Watch) -> impl FnMut(Progress<'_>) -> ControlFlow<()> + Send {
    let mut shown = WorkProgress::new(verb);
    move |progress| {
        shown.report(&progress.tensor.target.name, progress.done, progress.total);
        if watch.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn lines(report: &Report) -> Vec<String> {
    let mut totals: Vec<(&str, usize, u64)> = Vec::new();
    for tensor in &report.tensors {
        match totals.iter_mut().find(|(name, ..)| *name == tensor.to) {
            Some((_, count, bytes)) => {
                *count += 1;
                *bytes += tensor.bytes;
            }
            None => totals.push((tensor.to, 1, tensor.bytes)),
        }
    }
    totals.sort_by_key(|&(_, _, bytes)| std::cmp::Reverse(bytes));
    let mut lines: Vec<String> = totals
        .iter()
        .map(|(name, count, total)| format!("{name:<8} {count:>5} tensors {:>10}", bytes(*total)))
        .collect();
    let (before, after) = (bytes(report.bytes_before), bytes(report.bytes_after));
    let mut last = format!("{}: {before} → {after}, {:.2} bits per weight", report.file_type, report.bits_per_weight);
    if report.parts > 1 {
        last.push_str(&format!(", {} files", report.parts));
    }
    if let Some(seconds) = report.seconds {
        last.push_str(&format!(", {seconds:.1} s: {}", report.output.join(", ")));
    }
    lines.push(last);
    lines
}
