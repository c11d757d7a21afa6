//! `ascua gguf dump`: everything a file's header says.

use std::path::PathBuf;

use ascua::gguf::Gguf;
use clap::Args;
use serde::Serialize;

use crate::cut_file::or_header;
use crate::failure::Status;
use crate::metadata_report::{Length, MetadataReport};
use crate::output_flags::JsonFlag;
use crate::quantity::bytes;
use crate::tensor_report::TensorReport;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf dump model.gguf
  ascua gguf dump model.gguf --full --no-tensors | less
  ascua gguf dump model.gguf --json | jq -r '.tensors[] | [.name, .type, .offset] | @tsv'

The file alone is read, also where it is one part of a split model. `ascua info` describes the model in it.

Exit codes: 0 success, 1 failure, 2 wrong usage";

/// Show a file's keys and tensors, with types and offsets
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file
    file: PathBuf,

    /// Show long strings and arrays whole
    #[arg(long)]
    full: bool,

    /// Leave the keys out
    #[arg(long)]
    no_metadata: bool,

    /// Leave the tensors out
    #[arg(long)]
    no_tensors: bool,

    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Serialize)]
struct Report {
    path: String,
    file_bytes: u64,
    gguf_version: u32,
    alignment: u64,
    key_count: usize,
    tensor_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<TensorReport>>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let path = &arguments.file;
    let file = or_header(path, Gguf::open_part(path), "shown")?;
    let length = if arguments.full { Length::Full } else { Length::Cut };
    let report = Report {
        path: arguments.file.display().to_string(),
        file_bytes: file.file_bytes(),
        gguf_version: file.version(),
        alignment: file.alignment(),
        key_count: file.metadata().len(),
        tensor_count: file.tensors().len(),
        metadata: (!arguments.no_metadata).then(|| MetadataReport::new(file.metadata(), length)),
        tensors: (!arguments.no_tensors).then(|| file.tensors().iter().map(TensorReport::from).collect()),
    };
    arguments.json.print(&report, lines)?;
    Ok(Status::Done)
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}, GGUF version {}, alignment {}, {} keys, {} tensors",
        report.path,
        bytes(report.file_bytes),
        report.gguf_version,
        report.alignment,
        report.key_count,
        report.tensor_count
    )];
    lines.extend(report.metadata.iter().flat_map(MetadataReport::lines));
    lines.extend(report.tensors.iter().flatten().map(TensorReport::line));
    lines
}
