//! The measuring: the source first, then one type after the other, each row kept as soon as it is there.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use ascua::gguf::{AtomicFile, Gguf};
use ascua::tokenizer::EncodeOptions;
use ascua::{ContextChoice, Flow, Isa, Model, ModelOptions};
use ascua_convert::imatrix::ImportanceMatrix;
use ascua_convert::quantize::{FileType, Importance, Options, Overwrite, Plan, QuantizeError};
use ascua_eval::{BaseLogits, PerplexityOptions, Quality, ReportOptions, measure_against, measure_source};
use clap::ValueEnum as _;

use super::row::{Report, Row, Settings};
use super::{Arguments, DEFAULT_WINDOW, plot};
use crate::failure::{Status, usage};
use crate::interrupt::Watch;
use crate::output;
use crate::progress::CountProgress;
use crate::written_model::write;

/// Rows of logits kept at a time.
const STEP_OUTPUTS: usize = 64;

/// The files of a report.
struct Files {
    directory: PathBuf,
}

impl Files {
    fn at(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn data(&self) -> PathBuf {
        self.at("report.json")
    }

    fn base(&self) -> PathBuf {
        self.at("source.logits")
    }

    fn quantised(&self, file_type: FileType) -> PathBuf {
        self.at(&format!("{file_type}.gguf"))
    }

    /// What was measured before, with the same settings.
    fn earlier(&self, settings: &Settings, force: bool) -> anyhow::Result<Report> {
        let empty = Report { settings: settings.clone(), rows: Vec::new() };
        let path = self.data();
        let Ok(text) = std::fs::read(&path) else { return Ok(empty) };
        match serde_json::from_slice::<Report>(&text) {
            Ok(report) if report.settings == *settings => Ok(report),
            _ if force => Ok(empty),
            _ => Err(usage(
                format!("{} is of another model, text or setting", path.display()),
                "--directory NAME works elsewhere, --force begins again",
            )),
        }
    }

    fn save(&self, report: &Report) -> anyhow::Result<()> {
        write_whole(&self.data(), &serde_json::to_vec_pretty(report)?)
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = AtomicFile::create(path).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.commit().with_context(failed)
}

pub fn run(arguments: &Arguments, model: &str, text: &Path, types: &[FileType]) -> anyhow::Result<Status> {
    let path = arguments.flags.resolve(model)?;
    let gguf = Gguf::open(&path)?;
    let name = path.file_stem().map_or(model.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let settings = settings(arguments, &name, &gguf, text)?;
    let directory = arguments.directory.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.report")));
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let files = Files { directory };
    let mut report = files.earlier(&settings, arguments.force)?;
    let matrix = arguments.imatrix.as_ref().map(ImportanceMatrix::open).transpose()?;
    let source = source_type(&gguf);
    let missing: Vec<FileType> =
        types.iter().copied().filter(|t| report.rows.iter().all(|row| row.file_type != t.name())).collect();
    let plans = missing
        .iter()
        .filter(|&&file_type| Some(file_type) != source)
        .map(|&file_type| plan(arguments, &gguf, matrix.as_ref(), file_type))
        .collect::<anyhow::Result<Vec<_>>>()?;

    let work = Work { arguments, options: options(arguments), files: &files, watch: Watch::new() };
    let has_source = report.rows.iter().any(|row| row.source);
    if !has_source || !plans.is_empty() && BaseLogits::open(files.base()).is_err() {
        report.rows.retain(|row| !row.source);
        let name = source.map_or("source", FileType::name);
        let Some(row) = work.source(&path, &gguf, text, name)? else { return Ok(Status::Interrupted) };
        report.rows.push(row);
        files.save(&report)?;
    }
    for (file_type, plan) in &plans {
        let Some(row) = work.quantised(*file_type, plan)? else { return Ok(Status::Interrupted) };
        report.rows.push(row);
        files.save(&report)?;
    }
    report.sort();
    files.save(&report)?;
    write_whole(&files.at("report.md"), report.markdown().as_bytes())?;
    write_whole(&files.at("report.svg"), plot::draw(&report).as_bytes())?;
    if !arguments.keep && files.base().exists() {
        std::fs::remove_file(files.base())?;
    }
    if arguments.json {
        output::json(&report)?;
    } else {
        output::line(report.markdown().trim_end())?;
        output::note(&format!("written to {}: report.md, report.json, report.svg", files.directory.display()));
    }
    Ok(Status::Done)
}

fn settings(arguments: &Arguments, model: &str, gguf: &Gguf, text: &Path) -> anyhow::Result<Settings> {
    let length = std::fs::metadata(text).with_context(|| format!("cannot read {}", text.display()))?.len();
    let ReportOptions { perplexity, prompt, generation, runs } = options(arguments);
    let flags = arguments.flags.options()?;
    let workers = flags.workers();
    let name = |path: &Path| path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let precision = arguments.flags.precision.to_possible_value();
    Ok(Settings {
        model: model.to_owned(),
        model_bytes: gguf.file_bytes(),
        text: name(text),
        text_bytes: length,
        imatrix: arguments.imatrix.as_deref().map(name),
        window: perplexity.window,
        chunks: perplexity.chunks,
        prompt,
        generation,
        runs,
        threads: workers.generation,
        prompt_threads: (workers.prompt != workers.generation).then_some(workers.prompt),
        isa: flags.isa.unwrap_or_else(Isa::detect).to_string(),
        precision: precision.map_or(String::new(), |value| value.get_name().to_owned()),
    })
}

fn options(arguments: &Arguments) -> ReportOptions {
    let window = if arguments.flags.ctx == 0 { DEFAULT_WINDOW } else { arguments.flags.ctx };
    let chunks = (arguments.chunks > 0).then_some(arguments.chunks);
    ReportOptions {
        perplexity: PerplexityOptions { window, chunks },
        prompt: arguments.prompt,
        generation: arguments.generate,
        runs: arguments.runs as usize,
    }
}

/// The type a file says it has.
fn source_type(gguf: &Gguf) -> Option<FileType> {
    let id = gguf.metadata().unsigned("general.file_type").ok().flatten()?;
    FileType::ALL.iter().copied().find(|file_type| u64::from(file_type.id()) == id)
}

/// The plan of a file that can be written; what cannot be is found before hours are spent.
fn plan<'a>(
    arguments: &Arguments,
    gguf: &'a Gguf,
    matrix: Option<&'a ImportanceMatrix>,
    file_type: FileType,
) -> anyhow::Result<(FileType, Plan<'a>)> {
    let mut options = Options::new(file_type);
    options.allow_requantize = arguments.allow_requantize;
    options.importance = matrix.map(|matrix| Importance { matrix, file: "" });
    let plan = Plan::new(gguf, options)?;
    plan.check().with_context(|| format!("{file_type} cannot be written"))?;
    Ok((file_type, plan))
}

struct Work<'a> {
    arguments: &'a Arguments,
    options: ReportOptions,
    files: &'a Files,
    watch: Watch,
}

impl Work<'_> {
    fn load(&self, path: &Path) -> anyhow::Result<Model> {
        let options = ModelOptions {
            context: ContextChoice::Tokens(self.options.context()),
            step_outputs: STEP_OUTPUTS,
            ..self.arguments.flags.options()?
        };
        Ok(self.arguments.flags.load_with(&path.display().to_string(), &options)?.model)
    }

    /// Shows windows as they are done, until Ctrl-C.
    fn on_window(&self, verb: String) -> impl FnMut(usize, usize) -> Flow + '_ {
        let mut progress = CountProgress::new(verb, "windows");
        move |done, total| {
            progress.report(done, total);
            if self.watch.is_raised() { Flow::Stop } else { Flow::Continue }
        }
    }

    fn source(&self, path: &Path, gguf: &Gguf, text: &Path, name: &str) -> anyhow::Result<Option<Row>> {
        let mut model = self.load(path)?;
        let bytes = std::fs::read(text).with_context(|| format!("cannot read {}", text.display()))?;
        let tokens = model.tokenizer()?.encode_bytes(&bytes, EncodeOptions::default());
        let base = self.files.base();
        let failed = || format!("cannot write {}", base.display());
        let mut out = AtomicFile::create(&base).with_context(failed)?;
        let mut on_window = self.on_window(name.to_owned());
        let quality = measure_source(&mut model, &tokens, &self.options, &mut out, &mut on_window)?;
        let Some(quality) = quality else { return Ok(None) };
        out.commit().with_context(failed)?;
        let sums = gguf.tensors().iter().map(|tensor| (tensor.bytes(), tensor.elements()));
        let size = sums.fold((0, 0), |(bytes, elements), (b, e)| (bytes + b, elements + e));
        Ok(Some(Row::new(name, size, &quality)))
    }

    fn quantised(&self, file_type: FileType, plan: &Plan<'_>) -> anyhow::Result<Option<Row>> {
        let path = self.files.quantised(file_type);
        let started = Instant::now();
        let there = Gguf::open(&path).is_ok();
        if !there {
            match write(plan, format!("quantising {file_type}"), &path, Overwrite::Replace, &self.watch) {
                Err(QuantizeError::Stopped) => return Ok(None),
                outcome => outcome?,
            };
        }
        let seconds = (!there).then(|| started.elapsed().as_secs_f64());
        let quality = self.compare(file_type, &path)?;
        if !self.arguments.keep {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let Some(quality) = quality else { return Ok(None) };
        let row = Row::new(file_type.name(), (plan.bytes_after(), plan.elements()), &quality);
        Ok(Some(Row { quantise_seconds: seconds, ..row }))
    }

    fn compare(&self, file_type: FileType, path: &Path) -> anyhow::Result<Option<Quality>> {
        let mut base = BaseLogits::open(self.files.base())?;
        let mut model = self.load(path)?;
        let mut on_window = self.on_window(file_type.to_string());
        Ok(measure_against(&mut model, &mut base, &self.options, &mut on_window)?)
    }
}
