//! `ascua gguf split`: one model in several files.

use std::path::PathBuf;

use ascua::gguf::split::part_path;
use ascua::gguf::{Gguf, GgufWriter, SplitKeyOrder, SplitLimit, check_target};
use clap::Args;
use serde::Serialize;

use super::rewrite;
use crate::failure::{Status, usage};
use crate::output_flags::{ForceFlag, JsonFlag};
use crate::quantity::bytes;
use crate::split_flags::SplitFlags;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf split model.gguf model --max-size 2G          model-00001-of-00004.gguf and so on
  ascua gguf split model.gguf model --max-tensors 128 --dry-run

The parts are those of llama-gguf-split, byte for byte; 128 tensors in each where nothing else is said. They get their names when all are written.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Tensors in a part where nothing else is asked for, as llama-gguf-split has it.
const TENSORS: usize = 128;

/// Write a model in several files
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file, or the first part of a model that is split otherwise
    file: PathBuf,

    /// Name of the parts without -00001-of-0000N.gguf
    prefix: PathBuf,

    #[command(flatten)]
    split: SplitFlags,

    /// Say what parts there would be, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    force: ForceFlag,

    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Serialize)]
struct Report {
    written: bool,
    parts: Vec<PartReport>,
}

#[derive(Serialize)]
struct PartReport {
    path: String,
    tensors: usize,
    tensor_bytes: u64,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let gguf = Gguf::open(&arguments.file)?;
    if gguf.tensors().is_empty() {
        return Err(usage(format!("{} has no tensors", arguments.file.display()), "there is nothing to split"));
    }
    let limit = arguments.split.limit().unwrap_or(SplitLimit::Tensors(TENSORS));
    let lengths = GgufWriter::copy_of(&gguf)?.part_lengths(limit, arguments.split.first())?;
    let (count, mut tensors, mut parts) = (lengths.len() as u64, gguf.tensors().iter(), Vec::new());
    for (number, &length) in (1..).zip(&lengths) {
        let path = part_path(&arguments.prefix, number, count);
        check_target(&path, gguf.paths(), arguments.force.overwrite())?;
        let tensor_bytes = tensors.by_ref().take(length).map(|tensor| tensor.bytes()).sum();
        parts.push(PartReport { path: path.display().to_string(), tensors: length, tensor_bytes });
    }
    if !arguments.dry_run {
        let written = rewrite::copying(&gguf, "splitting", |report| {
            let mut writer = GgufWriter::new(gguf.metadata().clone());
            writer.add_all(&gguf, report)?;
            writer.write_parts(&arguments.prefix, &lengths, SplitKeyOrder::CountLast)
        })?;
        if written.is_none() {
            return Ok(Status::Interrupted);
        }
    }
    let report = Report { written: !arguments.dry_run, parts };
    arguments.json.print(&report, lines)?;
    Ok(Status::Done)
}

fn lines(report: &Report) -> Vec<String> {
    let line = |part: &PartReport| format!("{}: {} tensors, {}", part.path, part.tensors, bytes(part.tensor_bytes));
    let mut lines: Vec<String> = report.parts.iter().map(line).collect();
    if !report.written {
        lines.push("nothing was written".into());
    }
    lines
}
