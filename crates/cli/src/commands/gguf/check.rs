//! `ascua gguf check`: whether a model file is sound.

use std::ops::ControlFlow;
use std::path::PathBuf;

use ascua_convert::inspect::{self, CheckError, Finding, Severity};
use clap::Args;
use serde::Serialize;

use crate::failure::Status;
use crate::interrupt::Watch;
use crate::output_flags::JsonFlag;
use crate::progress::WorkProgress;
use crate::terminal::Style;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf check model.gguf
  ascua gguf check model.gguf --strict --json | jq '.findings[].message'

Looked at: the structure (counts, offsets, overlaps, length), the tensors against the list of their architecture, every
weight and every scale it is quantised with for NaN and infinity, the tokenizer and the chat template.

Exit codes: 0 sound, 1 failure, 2 wrong usage, 3 something is wrong, 130 interrupted by Ctrl-C";

/// Check a file for damage: structure, NaN, missing tensors, tokenizer
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file, the first part of a split model
    file: PathBuf,

    /// Warnings count as well
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Serialize)]
struct Report {
    file: String,
    sound: bool,
    errors: usize,
    warnings: usize,
    findings: Vec<FindingReport>,
}

#[derive(Serialize)]
struct FindingReport {
    severity: &'static str,
    kind: &'static str,
    message: String,
}

impl From<Finding> for FindingReport {
    fn from(finding: Finding) -> FindingReport {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        FindingReport { severity, kind: finding.kind, message: finding.message }
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let watch = Watch::new();
    let mut progress = WorkProgress::new("checking");
    let findings = inspect::check(&arguments.file, &mut |name, done, total| {
        progress.report(name, done, total);
        if watch.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let findings = match findings {
        Err(CheckError::Stopped(_)) => return Ok(Status::Interrupted),
        other => other?,
    };
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let sound = errors == 0 && (warnings == 0 || !arguments.strict);
    let findings = findings.into_iter().map(FindingReport::from).collect();
    let report = Report { file: arguments.file.display().to_string(), sound, errors, warnings, findings };
    arguments.json.print(&report, lines)?;
    Ok(if sound { Status::Done } else { Status::No })
}

fn lines(report: &Report) -> Vec<String> {
    let style = Style::of_stdout();
    let line = |finding: &FindingReport| {
        let severity = match finding.severity {
            "error" => style.error("error:"),
            _ => style.warning("warning:"),
        };
        format!("{severity} {}", finding.message)
    };
    let mut lines: Vec<String> = report.findings.iter().map(line).collect();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let found = format!("{}, {}", plural(report.errors, "error"), plural(report.warnings, "warning"));
    lines.push(match (report.errors, report.warnings) {
        (0, 0) => format!("{}: sound", report.file),
        _ => format!("{}: {found}", report.file),
    });
    lines
}
