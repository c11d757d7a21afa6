//! `ascua gguf merge`: the parts of a model in one file.

use std::path::PathBuf;

use ascua::gguf::split::SPLIT_COUNT_KEY;
use ascua::gguf::{Gguf, GgufWriter, Value, check_target};
use clap::Args;
use serde::Serialize;

use super::rewrite;
use crate::failure::{Status, usage};
use crate::output_flags::{ForceFlag, JsonFlag};
use crate::quantity::bytes;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf merge model-00001-of-00004.gguf model.gguf

The file is that of llama-gguf-split --merge, byte for byte: the keys of the split stay, with `split.count` 0.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Write the parts of a model in one file
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// First part
    first: PathBuf,

    /// File to write
    output: PathBuf,

    #[command(flatten)]
    force: ForceFlag,

    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Serialize)]
struct Report {
    output: String,
    parts: usize,
    tensors: usize,
    bytes: u64,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let gguf = Gguf::open(&arguments.first)?;
    let parts = gguf.paths().len();
    if parts < 2 {
        return Err(usage(format!("{} is no split model", arguments.first.display()), "give the first of its parts"));
    }
    check_target(&arguments.output, gguf.paths(), arguments.force.overwrite())?;
    let mut metadata = gguf.metadata().clone();
    metadata.remove(SPLIT_COUNT_KEY);
    metadata.insert(SPLIT_COUNT_KEY, Value::U16(0));
    let written = rewrite::copying(&gguf, "merging", |report| {
        let mut writer = GgufWriter::new(metadata);
        writer.add_all(&gguf, report)?;
        writer.write_file(&arguments.output)
    })?;
    let Some(written) = written else { return Ok(Status::Interrupted) };
    let output = arguments.output.display().to_string();
    let report = Report { output, parts, tensors: gguf.tensors().len(), bytes: written };
    arguments.json.print(&report, |Report { output, parts, tensors, .. }| {
        vec![format!("{output}: {parts} parts, {tensors} tensors, {}", bytes(written))]
    })?;
    Ok(Status::Done)
}
