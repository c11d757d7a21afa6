//! `ascua info`: what is in a model file and what it would take to run it; or what this machine's processor can do.

use ascua::gguf::Gguf;
use ascua::{ContextChoice, ModelOptions, Opened};
use clap::Args;

use crate::cpu_report::CpuReport;
use crate::cut_file::or_header;
use crate::failure::Status;
use crate::model_report::{MemoryReport, ModelReport};
use crate::model_source::{self, SourceFlags};
use crate::output_flags::JsonFlag;

const AFTER_HELP: &str = "\
Examples:
  ascua info smollm2
  ascua info model.gguf --ctx 32768        the memory plan for a longer context
  ascua info model.gguf --tensors
  ascua info model.gguf --metadata --json
  ascua info --cpu

Nothing is loaded: large models are described as quickly as small ones.

Exit codes: 0 success, 1 failure, 2 wrong usage";

/// Describe a model, or this machine
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    #[arg(required_unless_present = "cpu", conflicts_with = "cpu")]
    model: Option<String>,

    /// Context length for the memory plan; 0: as long as the model was trained for, or what fits
    #[arg(long, short = 'c', visible_alias = "ctx-size", value_name = "N", default_value_t = 0)]
    ctx: usize,

    /// List every tensor
    #[arg(long)]
    tensors: bool,

    /// List every metadata key
    #[arg(long)]
    metadata: bool,

    /// Describe this machine's processor instead of a model
    #[arg(long)]
    cpu: bool,

    #[command(flatten)]
    json: JsonFlag,

    #[command(flatten)]
    source: SourceFlags,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let Some(model) = &arguments.model else {
        arguments.json.print(&CpuReport::new(), CpuReport::lines)?;
        return Ok(Status::Done);
    };
    let path = model_source::resolve(model, &arguments.source)?;
    let file = or_header(&path, Gguf::open(&path), "described")?;
    let mut report = ModelReport::new(&file);
    if arguments.tensors {
        report.add_tensors(&file);
    }
    if arguments.metadata {
        report.add_metadata(&file);
    }
    report.memory = Some(plan(file, arguments.ctx));
    arguments.json.print(&report, ModelReport::lines)?;
    Ok(Status::Done)
}

fn plan(file: Gguf, context: usize) -> MemoryReport {
    let context = if context == 0 { ContextChoice::Automatic } else { ContextChoice::Tokens(context) };
    let options = ModelOptions { context, ..ModelOptions::default() };
    MemoryReport::new(Opened::from_file(file, &options))
}
