//! `ascua rm`: delete models from the cache, never anything else.

use clap::Args;

use crate::failure::Status;
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::quantity::bytes;

const AFTER_HELP: &str = "\
Examples:
  ascua rm smollm2:135m
  ascua rm hf:bartowski/Qwen2.5-7B-Instruct-GGUF:Q4_K_M SmolLM2-135M-Instruct.Q4_1.gguf

Names are those of `ascua list`, or the names of the cached files. Files outside the cache are never touched.

Exit codes: 0 success, 1 failure, 2 wrong usage";

/// Delete models from the cache
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Models, as `ascua list` names them
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let hub = model_source::hub(&SourceFlags::default());
    for name in &arguments.names {
        let freed = hub.remove(name)?;
        output::note(&format!("deleted {name}, {} freed", bytes(freed)));
    }
    Ok(Status::Done)
}
