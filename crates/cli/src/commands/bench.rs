//! `ascua bench`: tokens per second of prompts and generation.

use ascua::{ContextChoice, Flow};
use ascua_eval::{BenchResult, BenchTest, bench};
use clap::Args;
use serde::Serialize;

use crate::failure::{Status, usage};
use crate::interrupt::Watch;
use crate::model_flags::ModelFlags;
use crate::output;

const AFTER_HELP: &str = "\
Examples:
  ascua bench smollm2
  ascua bench model.gguf -p 512 -n 128 -t 2 -r 5 --json
  ascua bench model.gguf -p 128,512,2048 -n 0      prompts only

pp: a prompt computed in one go; tg: tokens generated one at a time; tokens per second, mean ± standard deviation.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Measure the speed of a model
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    model: String,

    /// Prompt lengths; 0: none
    #[arg(long, short = 'p', value_name = "N,…", value_delimiter = ',', default_value = "512")]
    prompt: Vec<usize>,

    /// Generation lengths; 0: none
    #[arg(long, short = 'n', value_name = "N,…", value_delimiter = ',', default_value = "128")]
    generate: Vec<usize>,

    /// Counted runs of each test
    #[arg(long, short = 'r', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,

    /// Print a JSON list
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: ModelFlags,
}

#[derive(Serialize)]
struct Report {
    test: String,
    tokens_per_second: f64,
    stddev: f64,
    samples: Vec<f64>,
}

impl From<&BenchResult> for Report {
    fn from(result: &BenchResult) -> Report {
        Report {
            test: result.test.name(),
            tokens_per_second: result.mean(),
            stddev: result.standard_deviation(),
            samples: result.samples.clone(),
        }
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let prompts = arguments.prompt.iter().filter(|&&n| n > 0).map(|&n| BenchTest::Prompt(n));
    let generations = arguments.generate.iter().filter(|&&n| n > 0).map(|&n| BenchTest::Generation(n));
    let tests: Vec<BenchTest> = prompts.chain(generations).collect();
    let Some(longest) = tests.iter().map(|test| test.tokens()).max() else {
        return Err(usage("nothing to measure: all lengths are 0", "for example: -p 512 -n 128"));
    };
    let mut options = arguments.flags.options();
    options.context = ContextChoice::Tokens(arguments.flags.ctx.max(longest));
    options.step_outputs = 1;
    let mut model = arguments.flags.load_with(&arguments.model, &options)?.model;
    if !arguments.json {
        output::line("| test | tokens/s | ± | runs |\n|---|---:|---:|---:|")?;
    }
    let watch = Watch::new();
    let mut reports = Vec::new();
    for test in tests {
        let mut on_run = |_| if watch.is_raised() { Flow::Stop } else { Flow::Continue };
        let result = bench(&mut model, test, arguments.runs as usize, &mut on_run)?;
        if watch.is_raised() {
            break;
        }
        let report = Report::from(&result);
        if !arguments.json {
            let Report { test, tokens_per_second, stddev, samples } = &report;
            output::line(&format!("| {test} | {tokens_per_second:.2} | {stddev:.2} | {} |", samples.len()))?;
        }
        reports.push(report);
    }
    if arguments.json {
        output::json(&reports)?;
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}
