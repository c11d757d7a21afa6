//! `ascua perplexity`: how well a model predicts a text.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use ascua::tokenizer::EncodeOptions;
use ascua::{ContextChoice, Flow};
use ascua_eval::{Estimate, PerplexityOptions};
use clap::Args;
use serde::Serialize;

use crate::failure::Status;
use crate::interrupt::Watch;
use crate::model_flags::ModelFlags;
use crate::output;

const AFTER_HELP: &str = "\
Examples:
  ascua perplexity smollm2 wiki.test.raw
  ascua perplexity model.gguf text.txt --ctx 512 --chunks 16 --json

The text is cut into windows of --ctx tokens (default 512); the second half of each is scored. Figures are comparable with
llama.cpp's at the same window and number of chunks.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Window where --ctx is not given.
const DEFAULT_WINDOW: usize = 512;
/// Rows of logits kept at a time.
const STEP_OUTPUTS: usize = 64;

/// Measure the perplexity of a model on a text
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    model: String,

    /// Text file
    file: PathBuf,

    /// Most windows to score [default: the whole text]
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,

    /// Print a JSON object: perplexity, its standard error, the running estimates
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: ModelFlags,
}

#[derive(Serialize)]
struct Report {
    ppl: f64,
    stderr: f64,
    chunks: Vec<f64>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let window = if arguments.flags.ctx == 0 { DEFAULT_WINDOW } else { arguments.flags.ctx };
    let text = std::fs::read(&arguments.file).with_context(|| format!("cannot read {}", arguments.file.display()))?;
    let mut options = arguments.flags.options();
    options.context = ContextChoice::Tokens(window);
    options.step_outputs = STEP_OUTPUTS;
    let mut model = arguments.flags.load_with(&arguments.model, &options)?.model;
    let tokens = model.tokenizer()?.encode_bytes(&text, EncodeOptions::default());
    let watch = Watch::new();
    let mut running = Vec::new();
    let mut written = Ok(());
    let mut on_chunk = |estimate: Estimate| {
        running.push(estimate.perplexity);
        if !arguments.json {
            let line = format!("[{}/{}] {:.4}", estimate.chunks, estimate.total, estimate.perplexity);
            written = output::line(&line).and_then(|()| std::io::stdout().flush());
        }
        if watch.is_raised() || written.is_err() { Flow::Stop } else { Flow::Continue }
    };
    let options = PerplexityOptions { window, chunks: arguments.chunks };
    let estimate = ascua_eval::perplexity(&mut model, &tokens, options, &mut on_chunk)?;
    written?;
    if let Some(estimate) = estimate {
        if arguments.json {
            output::json(&Report { ppl: estimate.perplexity, stderr: estimate.standard_error, chunks: running })?;
        } else {
            output::line(&format!("perplexity {:.4} ± {:.4}", estimate.perplexity, estimate.standard_error))?;
        }
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}
