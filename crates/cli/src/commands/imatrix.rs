//! `ascua imatrix`: which activations a model's weights meet on a text, for quantising what matters more exactly.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use ascua::engine::Observe;
use ascua::gguf::check_target;
use ascua::tokenizer::{EncodeOptions, ParseSpecial};
use ascua::{ContextChoice, Flow};
use ascua_convert::imatrix::{ImatrixFormat, ImportanceMatrix, LayerStatistics, TensorStatistics};
use ascua_eval::ImatrixOptions;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::failure::Status;
use crate::interrupt::Watch;
use crate::model_flags::ModelFlags;
use crate::output;
use crate::output_flags::{ForceFlag, JsonFlag};
use crate::progress::CountProgress;

const AFTER_HELP: &str = "\
Examples:
  ascua imatrix model-f16.gguf -f calibration.txt -o model.imatrix.gguf
  ascua imatrix model.gguf -f more.txt --in-file model.imatrix.gguf -o both.imatrix.gguf
  ascua imatrix --in-file a.gguf --in-file b.dat -o both.gguf       merge only
  ascua imatrix --in-file model.imatrix.gguf --show-statistics
  ascua quantize model-f16.gguf IQ3_M --imatrix model.imatrix.gguf

The text is cut into windows of --ctx tokens (default 512). Experts are counted apart. The file is llama.cpp's and can be
read by its tools; --precision exact observes activations that no rounding to 8 bits has touched.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C (what was collected is written)";

/// Window where --ctx is not given.
const DEFAULT_WINDOW: usize = 512;

/// Collect an importance matrix on a text, merge several, or show what is in one
#[derive(Args)]
#[command(after_help = AFTER_HELP, override_usage = "ascua imatrix [OPTIONS] <MODEL> -f <TEXT>\n       ascua imatrix [OPTIONS] --in-file <FILE>…")]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    #[arg(requires = "file", required_unless_present = "in_files")]
    model: Option<String>,

    /// Text to collect on
    #[arg(long, short = 'f', value_name = "TEXT", requires = "model")]
    file: Option<PathBuf>,

    /// File to write
    #[arg(long, short = 'o', value_name = "FILE", default_value = "imatrix.gguf")]
    output: PathBuf,

    /// Format of the file: gguf, or the older dat
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, default_value_t = Format::Gguf)]
    output_format: Format,

    /// Importance matrix to add; can be repeated
    #[arg(long = "in-file", value_name = "FILE")]
    in_files: Vec<PathBuf>,

    /// Most windows to collect on [default: the whole text]
    #[arg(long, value_name = "N")]
    chunks: Option<usize>,

    /// Windows to leave out at the start of the text
    #[arg(long, visible_alias = "chunk", value_name = "N", default_value_t = 0)]
    from_chunk: usize,

    /// Collect for the output too
    #[arg(long)]
    process_output: bool,

    /// Control tokens written out in the text are tokens
    #[arg(long)]
    parse_special: bool,

    /// Show what is in the matrix; with --in-file alone nothing is written
    #[arg(long)]
    show_statistics: bool,

    #[command(flatten)]
    force: ForceFlag,

    #[command(flatten)]
    json: JsonFlag,

    #[command(flatten)]
    flags: ModelFlags,
}

/// `--output-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As llama.cpp writes it today
    Gguf,
    /// As it was before
    Dat,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    entries: usize,
    chunks: u32,
    chunk_size: u32,
    datasets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Weights of which some experts saw no token, and how many experts those are.
    partial: Vec<(String, usize)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<TensorReport>,
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    layer: Option<u32>,
    elements: usize,
    total: f64,
    min: f64,
    max: f64,
    mean: f64,
    standard_deviation: f64,
    active: f64,
    entropy: f64,
    normalised_entropy: f64,
    outliers: f64,
    similarity: Option<f64>,
}

impl From<&TensorStatistics> for TensorReport {
    fn from(tensor: &TensorStatistics) -> TensorReport {
        TensorReport {
            name: tensor.name.clone(),
            layer: tensor.layer,
            elements: tensor.elements,
            total: tensor.total,
            min: tensor.min,
            max: tensor.max,
            mean: tensor.mean,
            standard_deviation: tensor.standard_deviation,
            active: tensor.active,
            entropy: tensor.entropy,
            normalised_entropy: tensor.normalised_entropy(),
            outliers: tensor.outliers,
            similarity: tensor.similarity,
        }
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let only_shows = arguments.show_statistics && arguments.model.is_none();
    if !only_shows {
        // Matrices have been read whole before anything is written: the output may be one of them.
        check_target(&arguments.output, [] as [&Path; 0], arguments.force.overwrite())?;
    }
    let mut matrix = ImportanceMatrix::default();
    if arguments.model.is_some() {
        matrix.chunk_size = arguments.window() as u32;
    } else {
        matrix.chunk_size = arguments.flags.ctx as u32;
    }
    for path in &arguments.in_files {
        matrix.merge(ImportanceMatrix::open(path)?).with_context(|| path.display().to_string())?;
    }
    let started = Instant::now();
    let watch = Watch::new();
    if let (Some(model), Some(text)) = (&arguments.model, &arguments.file) {
        matrix.merge(arguments.collect(model, text, &watch)?)?;
    }
    let seconds = arguments.model.as_ref().map(|_| started.elapsed().as_secs_f64());
    let statistics = if arguments.show_statistics { matrix.tensor_statistics() } else { Vec::new() };
    if !only_shows {
        let format = match arguments.output_format {
            Format::Gguf => ImatrixFormat::Gguf,
            Format::Dat => ImatrixFormat::Legacy,
        };
        matrix.write(&arguments.output, format)?;
    }
    let report = Report {
        output: (!only_shows).then(|| arguments.output.display().to_string()),
        entries: matrix.entries.len(),
        chunks: matrix.chunk_count,
        chunk_size: matrix.chunk_size,
        datasets: matrix.datasets.clone(),
        seconds,
        partial: partial(&matrix),
        tensors: statistics.iter().map(TensorReport::from).collect(),
    };
    warn_of_partial(&report);
    arguments.json.print(&report, |report| lines(report, &statistics))?;
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}

impl Arguments {
    fn window(&self) -> usize {
        if self.flags.ctx == 0 { DEFAULT_WINDOW } else { self.flags.ctx }
    }

    fn collect(&self, model: &str, path: &Path, watch: &Watch) -> anyhow::Result<ImportanceMatrix> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let window = self.window();
        let mut options = self.flags.options()?;
        options.context = ContextChoice::Tokens(window);
        options.observe = if self.process_output { Observe::LayersAndOutput } else { Observe::Layers };
        let mut model = self.flags.load_with(model, &options)?.model;
        let parse_special = if self.parse_special { ParseSpecial::Yes } else { ParseSpecial::No };
        let encode = EncodeOptions { parse_special, ..EncodeOptions::default() };
        let tokens = model.tokenizer()?.encode_bytes(&text, encode);
        let tokens = tokens.get(self.from_chunk.saturating_mul(window)..).unwrap_or(&[]);
        let dataset = path.display().to_string();
        let options = ImatrixOptions { window, chunks: self.chunks, dataset: &dataset };
        let mut progress = CountProgress::new("collecting", "chunks");
        Ok(ascua_eval::imatrix(&mut model, tokens, options, &mut |done, total| {
            progress.report(done, total);
            if watch.is_raised() { Flow::Stop } else { Flow::Continue }
        })?)
    }
}

/// The weights of which some matrices saw no token.
fn partial(matrix: &ImportanceMatrix) -> Vec<(String, usize)> {
    let unseen = matrix
        .entries
        .iter()
        .map(|(name, entry)| (name.clone(), entry.counts.iter().filter(|&&count| count == 0).count()));
    unseen.filter(|(_, unseen)| *unseen > 0).collect()
}

fn warn_of_partial(report: &Report) {
    if let Some((name, unseen)) = report.partial.first() {
        let others = match report.partial.len() - 1 {
            0 => String::new(),
            others => format!(", as of {others} other weights"),
        };
        output::warn(&format!("{unseen} experts of `{name}`{others} saw no token: a longer text reaches more of them"));
    }
}

fn lines(report: &Report, statistics: &[TensorStatistics]) -> Vec<String> {
    let mut lines = if statistics.is_empty() { Vec::new() } else { statistics_lines(statistics) };
    let Report { entries, chunks, chunk_size, datasets, output, seconds, .. } = report;
    let mut line = format!("{entries} weights, {chunks} chunks of {chunk_size} tokens of {}", datasets.join(", "));
    if let Some(seconds) = seconds {
        line.push_str(&format!(", {seconds:.1} s"));
    }
    if let Some(output) = output {
        line.push_str(&format!(": {output}"));
    }
    lines.push(line);
    lines
}

fn statistics_lines(statistics: &[TensorStatistics]) -> Vec<String> {
    let mut sorted: Vec<&TensorStatistics> = statistics.iter().collect();
    // The same weight of all layers together, the largest activations first.
    sorted.sort_by(|a, b| kind(&a.name).cmp(kind(&b.name)).then_with(|| b.total.total_cmp(&a.total)));
    let mut lines = vec![format!(
        "{:>5} {:<18} {:>12} {:>10} {:>12} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8}",
        "layer",
        "weight",
        "sum",
        "min",
        "max",
        "mean",
        "std dev",
        "active",
        "columns",
        "entropy",
        "of most",
        "> 1 σ",
        "cosine"
    )];
    for tensor in sorted {
        lines.push(format!(
            "{:>5} {:<18} {:>12.2} {:>10.4} {:>12.4} {:>9.3} {:>9.3} {:>6.1} % {:>8} {:>8.3} {:>6.1} % {:>5.1} % {:>8}",
            tensor.layer.map_or("-".to_owned(), |layer| layer.to_string()),
            kind(&tensor.name),
            tensor.total,
            tensor.min,
            tensor.max,
            tensor.mean,
            tensor.standard_deviation,
            tensor.active * 100.0,
            tensor.elements,
            tensor.entropy,
            tensor.normalised_entropy() * 100.0,
            tensor.outliers * 100.0,
            tensor.similarity.map_or("-".to_owned(), |similarity| format!("{similarity:.4}")),
        ));
    }
    lines.push(format!("\n{:>5} {:>14} {:>9} {:>8}", "layer", "sum", "> 1 σ", "cosine"));
    for layer in LayerStatistics::of(statistics) {
        let LayerStatistics { layer, total, outliers, similarity } = layer;
        lines.push(format!("{layer:>5} {total:>14.2} {:>7.2} % {similarity:>8.4}", outliers * 100.0));
    }
    lines.push(String::new());
    lines
}

/// The weight's name within its layer.
fn kind(name: &str) -> &str {
    let name = name.strip_suffix(".weight").unwrap_or(name);
    name.rsplit('.').next().unwrap_or(name)
}
