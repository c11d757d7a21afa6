//! `ascua quantize`: writes a model in other tensor types.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ascua::gguf::{Gguf, TensorType, Value};
use ascua_convert::imatrix::ImportanceMatrix;
use ascua_convert::quantize::{
    FileType, Importance, Options, Overwrite, Plan, PlannedTensor, QuantizeError, TypePattern,
};
use clap::Args;
use serde::Serialize;

use crate::failure::{Status, usage};
use crate::interrupt::Watch;
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::progress::WorkProgress;
use crate::quantity::bytes;

const AFTER_HELP: &str = "\
Examples:
  ascua quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M
  ascua quantize model-f16.gguf model-iq2_m.gguf IQ2_M --imatrix model.imatrix.gguf
  ascua quantize model-f16.gguf Q4_K_M --dry-run            sizes only, nothing is written
  ascua quantize in.gguf out.gguf Q4_K_M --tensor-type 'ffn_down=q6_k' --output-tensor-type q8_0
  ascua quantize in.gguf out.gguf COPY --override-kv general.name=str:Mine

With two names and no --dry-run the output is ggml-model-TYPE.gguf beside the input, as llama.cpp has it. What is at the
output is replaced with --force only; the new file appears when it is whole.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Write a model in a smaller type: Q4_K_M, Q8_0, IQ4_XS, F16 and others
#[derive(Args)]
#[command(after_help = AFTER_HELP, override_usage = "ascua quantize [OPTIONS] <IN> [OUT] <TYPE> [THREADS]")]
pub struct Arguments {
    /// Model to read, file to write, type (`--list-types` shows them), threads
    #[arg(num_args = 2..=4, required_unless_present = "list_types", value_names = ["IN", "OUT", "TYPE", "THREADS"])]
    names: Vec<String>,

    /// Importance matrix, GGUF or .dat: what matters is kept more exactly
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,

    /// Use the importance of tensors whose name holds this, and of no others; can be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "exclude_weights")]
    include_weights: Vec<String>,

    /// Leave the importance of tensors whose name holds this unused; can be repeated
    #[arg(long, value_name = "NAME")]
    exclude_weights: Vec<String>,

    /// The same type for every tensor: no exceptions for those that suffer more
    #[arg(long)]
    pure: bool,

    /// A type for the tensors a regular expression is found in; the first that fits counts; can be repeated
    #[arg(long, value_name = "PATTERN=TYPE")]
    tensor_type: Vec<String>,

    /// A file of such patterns, with blanks or line ends between them
    #[arg(long, value_name = "FILE")]
    tensor_type_file: Option<PathBuf>,

    /// Type of the output
    #[arg(long, value_name = "TYPE")]
    output_tensor_type: Option<String>,

    /// Type of the token embedding
    #[arg(long, value_name = "TYPE")]
    token_embedding_type: Option<String>,

    /// Leave the output as it is
    #[arg(long)]
    leave_output_tensor: bool,

    /// Quantise again what is quantised; it loses more than quantising the original
    #[arg(long)]
    allow_requantize: bool,

    /// Set a key; TYPE is int, float, bool or str; can be repeated
    #[arg(long, value_name = "KEY=TYPE:VALUE")]
    override_kv: Vec<String>,

    /// Leave these layers out
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    prune_layers: Vec<u32>,

    /// Write as many files as the input has
    #[arg(long)]
    keep_split: bool,

    /// Say what sizes there would be, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Replace what is at the output
    #[arg(long)]
    force: bool,

    /// Threads [default: all processors]
    #[arg(long, short = 't', value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// List the types
    #[arg(long)]
    list_types: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    source: SourceFlags,
}

/// What is asked for, of the names on the command line.
struct Names {
    input: String,
    output: Option<PathBuf>,
    file_type: Option<FileType>,
    threads: usize,
}

#[derive(Serialize)]
struct Report {
    output: Vec<String>,
    file_type: &'static str,
    bytes_before: u64,
    bytes_after: u64,
    bits_per_weight: f64,
    fallbacks: usize,
    seconds: Option<f64>,
    tensors: Vec<TensorReport>,
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    shape: Vec<u64>,
    from: &'static str,
    to: &'static str,
    bytes: u64,
    instead_of: Option<&'static str>,
}

impl From<&PlannedTensor> for TensorReport {
    fn from(tensor: &PlannedTensor) -> TensorReport {
        TensorReport {
            name: tensor.target.name.clone(),
            shape: tensor.target.shape.clone(),
            from: tensor.source.tensor_type.name(),
            to: tensor.target.tensor_type.name(),
            bytes: tensor.target.bytes(),
            instead_of: tensor.instead_of.map(TensorType::name),
        }
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    if arguments.list_types {
        return list_types(&arguments);
    }
    let names = names(&arguments)?;
    let imatrix = arguments.imatrix.as_deref().map(|path| importance(path, &arguments)).transpose()?;
    let imatrix_file = arguments.imatrix.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let importance = imatrix.as_ref().map(|matrix| Importance { matrix, file: &imatrix_file });
    let options = options(&arguments, &names, importance)?;
    let path = model_source::resolve(&names.input, &arguments.source)?;
    let gguf = Gguf::open(&path)?;
    let plan = Plan::new(&gguf, options)?;
    let type_name = names.file_type.map_or("COPY", FileType::name);
    warn_of_plan(&plan);
    let mut report = Report {
        output: Vec::new(),
        file_type: type_name,
        bytes_before: plan.bytes_before(),
        bytes_after: plan.bytes_after(),
        bits_per_weight: plan.bytes_after() as f64 * 8.0 / plan.elements() as f64,
        fallbacks: plan.tensors.iter().filter(|tensor| tensor.instead_of.is_some()).count(),
        seconds: None,
        tensors: plan.tensors.iter().map(TensorReport::from).collect(),
    };
    if !arguments.dry_run {
        let directory = path.parent().unwrap_or(Path::new(""));
        let output = names.output.unwrap_or_else(|| directory.join(format!("ggml-model-{type_name}.gguf")));
        let overwrite = if arguments.force { Overwrite::Replace } else { Overwrite::Never };
        let started = Instant::now();
        match write(&plan, &output, overwrite) {
            Ok(written) => report.output = written.iter().map(|path| path.display().to_string()).collect(),
            Err(QuantizeError::Stopped) => {
                output::note("stopped; nothing was written");
                return Ok(Status::Interrupted);
            }
            Err(error) => return Err(error.into()),
        }
        report.seconds = Some(started.elapsed().as_secs_f64());
    }
    if arguments.json {
        output::json(&report)?;
    } else {
        show(&report)?;
    }
    Ok(Status::Done)
}

fn list_types(arguments: &Arguments) -> anyhow::Result<Status> {
    if arguments.json {
        output::json(&FileType::ALL.iter().map(|file_type| file_type.name()).collect::<Vec<_>>())?;
    } else {
        let line = |file_type: &FileType| format!("{:<10} {}", file_type.name(), file_type.description());
        let mut lines: Vec<String> = FileType::ALL.iter().map(line).collect();
        lines.push(format!("{:<10} every tensor as it is", "COPY"));
        output::lines(&lines)?;
    }
    Ok(Status::Done)
}

fn names(arguments: &Arguments) -> anyhow::Result<Names> {
    let is_copy = |name: &str| name.eq_ignore_ascii_case("copy");
    let parsed = |name: &str| if is_copy(name) { Some(None) } else { name.parse().ok().map(Some) };
    let unknown = |name: &str| usage(format!("unknown type `{name}`"), "`ascua quantize --list-types` shows the types");
    let (input, rest) = arguments.names.split_first().ok_or_else(|| usage("no model", "IN OUT TYPE"))?;
    let (output, file_type, threads) = match rest {
        [name] => (None, parsed(name).ok_or_else(|| unknown(name))?, None),
        [output, name] if parsed(name).is_some() => (Some(output.into()), parsed(name).flatten(), None),
        [name, threads] if parsed(name).is_some() => (None, parsed(name).flatten(), Some(threads)),
        [_, name] => return Err(unknown(name)),
        [output, name, threads] => (Some(output.into()), parsed(name).ok_or_else(|| unknown(name))?, Some(threads)),
        _ => return Err(usage("wrong number of names", "IN OUT TYPE")),
    };
    let threads = match threads {
        None => usize::from(arguments.threads.unwrap_or(0)),
        Some(threads) => threads
            .parse()
            .map_err(|_| usage(format!("the number of threads is `{threads}`"), "a whole number, after the type"))?,
    };
    Ok(Names { input: input.clone(), output, file_type, threads })
}

fn importance(path: &Path, arguments: &Arguments) -> anyhow::Result<ImportanceMatrix> {
    let mut matrix = ImportanceMatrix::open(path)?;
    let (included, excluded) = (&arguments.include_weights, &arguments.exclude_weights);
    let held = |name: &str, parts: &[String]| parts.iter().any(|part| name.contains(part.as_str()));
    matrix.entries.retain(|name, _| (included.is_empty() || held(name, included)) && !held(name, excluded));
    Ok(matrix)
}

fn options<'a>(
    arguments: &Arguments,
    names: &Names,
    importance: Option<Importance<'a>>,
) -> anyhow::Result<Options<'a>> {
    let mut options = Options::new(names.file_type.unwrap_or(FileType::F32));
    options.copy = names.file_type.is_none();
    options.pure = arguments.pure;
    options.importance = importance;
    let tensor_type = |name: &String| {
        let found = name.parse::<TensorType>();
        found.map_err(|()| usage(format!("unknown tensor type `{name}`"), "for example: q6_K, q8_0, f16"))
    };
    let mut patterns = arguments.tensor_type.clone();
    if let Some(path) = &arguments.tensor_type_file {
        let text = std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        patterns.extend(text.split_whitespace().map(str::to_owned));
    }
    for text in &patterns {
        let parts = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty());
        let Some((pattern, name)) = parts else {
            return Err(usage(format!("`{text}` is not PATTERN=TYPE"), "for example: --tensor-type ffn_down=q6_K"));
        };
        options.tensor_types.push(TypePattern { pattern: pattern.into(), tensor_type: tensor_type(&name.into())? });
    }
    options.output_type = arguments.output_tensor_type.as_ref().map(tensor_type).transpose()?;
    options.token_embedding_type = arguments.token_embedding_type.as_ref().map(tensor_type).transpose()?;
    options.leave_output = arguments.leave_output_tensor;
    options.allow_requantize = arguments.allow_requantize;
    options.overrides = arguments.override_kv.iter().map(|text| key_value(text)).collect::<anyhow::Result<_>>()?;
    options.prune_layers = arguments.prune_layers.iter().copied().collect::<BTreeSet<_>>();
    options.keep_split = arguments.keep_split;
    options.threads = names.threads;
    Ok(options)
}

/// `KEY=TYPE:VALUE`. Integers become unsigned 32-bit ones and floats 32-bit ones, as in llama.cpp's files.
fn key_value(text: &str) -> anyhow::Result<(String, Value)> {
    let wrong =
        || usage(format!("`{text}` is not KEY=TYPE:VALUE"), "for example: general.name=str:Mine, or …=int:4096");
    let (key, rest) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(wrong)?;
    let (kind, value) = rest.split_once(':').ok_or_else(wrong)?;
    let value = match kind {
        "int" => Value::U32(value.parse().map_err(|_| wrong())?),
        "float" => Value::F32(value.parse().map_err(|_| wrong())?),
        "bool" => Value::Bool(value.parse().map_err(|_| wrong())?),
        "str" => Value::String(value.to_owned()),
        _ => return Err(wrong()),
    };
    Ok((key.to_owned(), value))
}

/// Says once for each kind of tensor what it cannot become; a large model has hundreds of each.
fn warn_of_plan(plan: &Plan<'_>) {
    let mut kinds: BTreeMap<(u64, &str, &str), (&str, usize)> = BTreeMap::new();
    for tensor in &plan.tensors {
        if let Some(wanted) = tensor.instead_of {
            let kind = (tensor.target.row_elements(), wanted.name(), tensor.target.tensor_type.name());
            kinds.entry(kind).or_insert((&tensor.target.name, 0)).1 += 1;
        }
    }
    for ((elements, wanted, instead), (first, count)) in kinds {
        let others = if count > 1 { format!(" and {} others", count - 1) } else { String::new() };
        output::warn(&format!("rows of {elements} are not whole blocks of {wanted}: {instead} for `{first}`{others}"));
    }
    if let Some(tensor) = plan.tensors.iter().find(|tensor| tensor.lacks_importance) {
        output::warn(&format!(
            "`{}` would be {}, which is garbage without an importance matrix (--imatrix)",
            tensor.target.name, tensor.target.tensor_type
        ));
    }
}

fn write(plan: &Plan<'_>, output: &Path, overwrite: Overwrite) -> Result<Vec<PathBuf>, QuantizeError> {
    let watch = Watch::new();
    let mut shown = WorkProgress::new("quantising");
    plan.write(output, overwrite, &mut |progress| {
        shown.report(&progress.tensor.target.name, progress.done, progress.total);
        if watch.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

fn show(report: &Report) -> anyhow::Result<()> {
    let mut totals: Vec<(&str, usize, u64)> = Vec::new();
    for tensor in &report.tensors {
        match totals.iter_mut().find(|(name, ..)| *name == tensor.to) {
            Some((_, count, bytes)) => {
                *count += 1;
                *bytes += tensor.bytes;
            }
            None => totals.push((tensor.to, 1, tensor.bytes)),
        }
    }
    totals.sort_by_key(|&(_, _, bytes)| std::cmp::Reverse(bytes));
    let mut lines: Vec<String> = totals
        .iter()
        .map(|(name, count, total)| format!("{name:<8} {count:>5} tensors {:>10}", bytes(*total)))
        .collect();
    let (before, after) = (bytes(report.bytes_before), bytes(report.bytes_after));
    let mut last = format!("{}: {before} → {after}, {:.2} bits per weight", report.file_type, report.bits_per_weight);
    if let Some(seconds) = report.seconds {
        last.push_str(&format!(", {seconds:.1} s: {}", report.output.join(", ")));
    }
    lines.push(last);
    Ok(output::lines(&lines)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_given_with_their_type() {
        for (text, expected) in [
            ("a.b=int:7", Some(("a.b", Value::U32(7)))),
            ("a.b=float:0.5", Some(("a.b", Value::F32(0.5)))),
            ("a.b=bool:true", Some(("a.b", Value::Bool(true)))),
            ("a.b=str:x=y:z", Some(("a.b", Value::String("x=y:z".into())))),
            ("a.b=int:-7", None),
            ("a.b=u8:7", None),
            ("a.b", None),
            ("=int:7", None),
        ] {
            let found = key_value(text).ok();
            assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)), "{text}");
        }
    }
}
