//! `ascua report`: what each file type costs and saves, measured on one model in one go.

mod plot;
mod row;
mod shape;
mod work;

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Status, usage};
use crate::model_flags::ModelFlags;

const AFTER_HELP: &str = "\
Examples:
  ascua report model-f16.gguf --text wiki.test.raw
  ascua report model-f16.gguf --types Q8_0,Q4_K_M,IQ3_M --imatrix model.imatrix.gguf --text text.txt --chunks 16
  ascua report model-f16.gguf --types Q4_K_M --text text.txt --keep     the quantised files stay
  ascua report --shape 7b,13b                                           sizes alone, no model needed

Each type is quantised, compared with the model it comes from on the text, and timed. The table is printed, and written with
its data and a plot to report.md, report.json and report.svg in --directory. Stopped half-way, the same call goes on where it
was. While it works there are in the directory one quantised file and the probabilities of the source: two bytes for each token
of the vocabulary and each of 255 tokens of a window (39 MB a window for a vocabulary of 150 000).

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Window where --ctx is not given.
const DEFAULT_WINDOW: usize = 512;
/// The types of the table that users know.
const DEFAULT_TYPES: &str = "F16,Q8_0,Q6_K,Q5_K_M,Q5_1,Q5_0,Q4_K_M,Q4_1,Q4_0,Q3_K_M,Q2_K";

/// Measure size, perplexity, divergence and speed of a model in many types
#[derive(Args)]
#[command(after_help = AFTER_HELP, override_usage = "ascua report [OPTIONS] <MODEL> --text <FILE>\n       ascua report --shape <SHAPE,…>")]
pub struct Arguments {
    /// Model to start from, best in F16, BF16 or F32
    #[arg(required_unless_present = "shape", conflicts_with = "shape", requires = "text")]
    model: Option<String>,

    /// Types to compare (`ascua quantize --list-types` shows all)
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', default_value = DEFAULT_TYPES)]
    types: Vec<String>,

    /// Text to measure on
    #[arg(long, short = 'f', value_name = "FILE")]
    text: Option<PathBuf>,

    /// Windows of the text to score; 0: all
    #[arg(long, value_name = "N", default_value_t = 16)]
    chunks: usize,

    /// Importance matrix for the types that profit from one
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,

    /// Length of the timed prompt; 0: none
    #[arg(long, short = 'p', value_name = "N", default_value_t = 512)]
    prompt: usize,

    /// Length of the timed generation; 0: none
    #[arg(long, short = 'n', value_name = "N", default_value_t = 64)]
    generate: usize,

    /// Timed runs of each
    #[arg(long, short = 'r', value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,

    /// Where the report is written and the work is done [default: MODEL.report]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,

    /// Leave the quantised files and the probabilities of the source there
    #[arg(long)]
    keep: bool,

    /// Quantise again what is quantised; the loss is then measured from there
    #[arg(long)]
    allow_requantize: bool,

    /// Begin again where a report with other settings is in the directory
    #[arg(long)]
    force: bool,

    /// Sizes of well-known shapes instead: 135m, 1b, 3b, 7b, 8b, 13b, moe, 8x7b
    #[arg(long, value_name = "SHAPE,…", value_delimiter = ',')]
    shape: Vec<String>,

    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: ModelFlags,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let mut types = Vec::new();
    for name in &arguments.types {
        let file_type = crate::file_type::of_name(name.trim())?;
        if !types.contains(&file_type) {
            types.push(file_type);
        }
    }
    match (&arguments.model, &arguments.text) {
        (Some(model), Some(text)) => work::run(&arguments, model, text, &types),
        (None, _) => shape::run(&arguments.shape, &types, arguments.json),
        (Some(_), None) => Err(usage("no text given", "--text FILE")),
    }
}
