//! `ascua bench`: tokens per second of prompts and generation, for every combination of the settings given.

mod chart;
mod compare;
mod limits;
mod report;
mod tests_flags;

use std::path::PathBuf;

use ascua::{ContextChoice, Flow, ModelOptions};
use ascua_convert::quantize::FileType;
use ascua_eval::synthetic::{self, Shape};
use ascua_eval::{ModelWork, bench};
use clap::Args;

use crate::failure::{Status, usage};
use crate::file_type;
use crate::interrupt::Watch;
use crate::model_flags::{ModelFlags, ThreadCounts};
use crate::{model_source, output};
use limits::Limits;
use report::{Format, Printer, Row};
use tests_flags::TestFlags;

const AFTER_HELP: &str = "\
Examples:
  ascua bench smollm2
  ascua bench model.gguf -p 512 -n 128 -t 2 -r 5 --json
  ascua bench model.gguf -p 128,512,2048 -n 0          prompts only
  ascua bench model.gguf -d 0,8192 -np 1,8 -t 1,2      every combination is a row
  ascua bench model.gguf --roofline                    beside what the machine can do at most
  ascua bench --shape 1b --type Q4_K_M,Q8_0            random weights: no model needed
  ascua bench model.gguf --compare '-ub 256'           two settings in turn, and their ratio
  ascua bench model.gguf --compare ../old/ascua        two builds in turn

pp: a prompt computed in one go; tg: tokens generated one at a time; pp+tg: both; @ d: with so many tokens in the context
before; x: so many sequences together. Tokens per second: median, and mean ± standard deviation of the runs.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Measure the speed of models
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Models: files, short names, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or addresses
    #[arg(value_name = "MODEL")]
    models: Vec<String>,

    #[command(flatten)]
    tests: TestFlags,

    /// Tokens computed in one step [also: -ub]
    #[arg(long, visible_alias = "ubatch-size", value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    ubatch: Vec<u32>,

    /// Models of random weights instead, by shape: 135m, 1b, 3b, 7b, 8b, 13b, moe, 8x7b
    #[arg(long, value_name = "SHAPE,…", value_delimiter = ',')]
    shape: Vec<String>,

    /// Tensor types of the random weights: Q4_K_M, Q8_0, F16 …
    #[arg(long = "type", value_name = "TYPE,…", value_delimiter = ',', default_value = "Q4_K_M", requires = "shape")]
    types: Vec<String>,

    /// Where the random models are written and found again [default: the cache]
    #[arg(long, value_name = "DIRECTORY", requires = "shape")]
    directory: Option<PathBuf>,

    /// Measure what the machine can do at most too, and give the share of it that is reached
    #[arg(long)]
    roofline: bool,

    /// Show where the time goes, by kind of work, after each test
    #[arg(long, conflicts_with = "compare")]
    profile: bool,

    /// Measure in turn with another setting or another build of the program
    #[arg(long, value_name = "FLAGS|PROGRAM", allow_hyphen_values = true, conflicts_with = "roofline")]
    compare: Option<String>,

    /// Draw the speeds as bars
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Form of the output
    #[arg(long, short = 'o', value_enum, value_name = "FORM", default_value_t = Format::Markdown)]
    output: Format,

    /// Print a JSON list; the same as `-o json`
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: ModelFlags<ThreadCounts>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let models = arguments.models()?;
    let tests = arguments.tests.tests();
    if tests.is_empty() {
        if !arguments.shape.is_empty() {
            models.iter().try_for_each(|model| output::line(model))?;
            return Ok(Status::Done);
        }
        return Err(usage("nothing to measure: all lengths are 0", "for example: -p 512 -n 128"));
    }
    let format = if arguments.json { Format::Json } else { arguments.output };
    if let Some(other) = &arguments.compare {
        return compare::run(other, arguments.tests.runs(), format, arguments.plot.as_deref());
    }
    let watch = Watch::new();
    let settings = arguments.settings()?;
    let limits = if arguments.roofline { Some(Limits::measure(arguments.flags.isa, &settings)?) } else { None };
    let mut printer = Printer::new(format, limits.as_ref())?;
    let mut rows = Vec::new();
    'all: for model in &models {
        for options in settings.clone() {
            let sequences = tests.iter().map(|test| test.sequences).max().unwrap_or(1);
            let context = tests.iter().map(|test| test.context()).max().unwrap_or(1);
            let options = ModelOptions {
                context: ContextChoice::Tokens(arguments.flags.ctx.max(context)),
                sequences,
                step_outputs: sequences,
                step_tokens: options.step_tokens.max(sequences),
                ..options
            };
            let mut loaded = arguments.flags.load_with(model, &options)?.model;
            let work = ModelWork::of(loaded.file());
            for &test in &tests {
                let mut on_run = |_| if watch.is_raised() { Flow::Stop } else { Flow::Continue };
                if arguments.profile {
                    // What only the first run meets, such as a file that is not in memory yet, is not to be seen.
                    bench(&mut loaded, test, 0, &mut on_run)?;
                    loaded.engine().start_profile();
                }
                let result = bench(&mut loaded, test, arguments.tests.runs(), &mut on_run)?;
                if watch.is_raised() {
                    break 'all;
                }
                let row = Row::new(model, &options, &result);
                let row = row.with_work(&work, &test, limits.as_ref());
                let row = if arguments.profile { row.with_profile(&loaded.engine().profile()) } else { row };
                printer.row(&row)?;
                rows.push(row);
            }
        }
    }
    printer.finish(&rows)?;
    if let Some(path) = &arguments.plot {
        chart::write(path, &report::panels(&rows))?;
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}

impl Arguments {
    /// The models to load, those of random weights written where they are not there yet.
    fn models(&self) -> anyhow::Result<Vec<String>> {
        let mut models = self.models.clone();
        for shape in &self.shape {
            let shape = Shape::find(shape).map_err(|error| usage(error.to_string(), "--shape 1b"))?;
            for name in &self.types {
                models.push(self.synthetic(&shape, file_type::of_name(name)?)?);
            }
        }
        if models.is_empty() {
            return Err(usage("no model given", "for example: smollm2, model.gguf, or --shape 1b"));
        }
        Ok(models)
    }

    fn synthetic(&self, shape: &Shape, file_type: FileType) -> anyhow::Result<String> {
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => model_source::cache_directory().join("random"),
        };
        let path = directory.join(format!("{}.{file_type}.gguf", shape.name));
        if !path.exists() {
            std::fs::create_dir_all(&directory)?;
            output::note(&format!("writing {}", path.display()));
            synthetic::write(shape, file_type, &path)?;
        }
        Ok(path.display().to_string())
    }

    /// Every combination of the settings a model is loaded with.
    fn settings(&self) -> anyhow::Result<Vec<ModelOptions>> {
        let base = self.flags.options()?;
        let threads: Vec<Option<usize>> = match &self.flags.threads.threads {
            none if none.is_empty() => vec![None],
            some => some.iter().copied().map(Some).collect(),
        };
        let ubatches: Vec<usize> = match &self.ubatch {
            none if none.is_empty() => vec![base.step_tokens],
            some => some.iter().map(|&tokens| tokens as usize).collect(),
        };
        let mut settings = Vec::new();
        for &threads in &threads {
            for &step_tokens in &ubatches {
                settings.push(ModelOptions { threads, step_tokens, ..base.clone() });
            }
        }
        Ok(settings)
    }
}
