//! `ascua gguf`: model files as files: what is in them, changed keys, parts, hashes, differences, soundness.

mod check;
mod diff;
mod dump;
mod hash;
mod merge;
mod remove;
mod rewrite;
mod set;
mod split;

use clap::Args;

use crate::failure::Status;

commands! {
    Dump => dump,
    Set => set,
    Remove => remove,
    Split => split,
    Merge => merge,
    Hash => hash,
    Diff => diff,
    Check => check,
}

const AFTER_HELP: &str = "\
Examples:
  ascua gguf dump model.gguf --json | jq '.metadata[\"llama.context_length\"].value'
  ascua gguf set model.gguf general.name=str:Mine --force
  ascua gguf split model.gguf model --max-size 2G
  ascua gguf hash model.gguf > model.manifest
  ascua gguf hash model.gguf --check model.manifest
  ascua gguf diff model-f16.gguf model-q8_0.gguf
  ascua gguf check model.gguf

What exists is replaced with --force only, and a new file appears when it is whole.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the answer is no, 130 interrupted by Ctrl-C";

/// Look into GGUF files, change their keys, split and merge them
#[derive(Args)]
#[command(after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    arguments.command.run()
}
