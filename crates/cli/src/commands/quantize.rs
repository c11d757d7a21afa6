//! `ascua quantize`: writes a model in other tensor types.

use std::path::{Path, PathBuf};

use ascua::gguf::Gguf;
use ascua_convert::convert::is_checkpoint;
use ascua_convert::quantize::{FileType, Parts, Plan};
use clap::Args;

use crate::failure::{Status, usage};
use crate::file_type;
use crate::mix_flags::{LoadedImportance, MixFlags};
use crate::model_source::{self, SourceFlags};
use crate::written_model::{Writing, finish};

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

    /// Leave the output as it is
    #[arg(long)]
    leave_output_tensor: bool,

    /// Quantise again what is quantised; it loses more than quantising the original
    #[arg(long)]
    allow_requantize: bool,

    /// Leave these layers out
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    prune_layers: Vec<u32>,

    /// Write as many files as the input has
    #[arg(long)]
    keep_split: bool,

    /// List the types
    #[arg(long)]
    list_types: bool,

    #[command(flatten)]
    mix: MixFlags,

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

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    if arguments.list_types {
        return list_types(&arguments);
    }
    let names = names(&arguments)?;
    let importance = arguments.mix.importance()?;
    let file_type = names.file_type.unwrap_or(FileType::F32);
    let mut options = arguments.mix.options(file_type, LoadedImportance::as_option(&importance))?;
    options.copy = names.file_type.is_none();
    options.leave_output = arguments.leave_output_tensor;
    options.allow_requantize = arguments.allow_requantize;
    options.prune_layers = arguments.prune_layers.iter().copied().collect();
    options.parts = if arguments.keep_split { Parts::AsInput } else { Parts::One };
    options.threads = names.threads;
    if is_checkpoint(Path::new(&names.input)) {
        return Err(usage(
            format!("`{}` is a checkpoint, not a model file", names.input),
            format!("ascua convert {} --type {} writes it in one go", names.input, file_type),
        ));
    }
    let path = model_source::resolve(&names.input, &arguments.source)?;
    let gguf = Gguf::open(&path)?;
    let plan = Plan::new(&gguf, options)?;
    let type_name = names.file_type.map_or("COPY", FileType::name);
    let directory = path.parent().unwrap_or(Path::new(""));
    let output = names.output.unwrap_or_else(|| directory.join(format!("ggml-model-{type_name}.gguf")));
    finish(&plan, &Writing { verb: "quantising", type_name, output: &output }, &arguments.mix)
}

fn list_types(arguments: &Arguments) -> anyhow::Result<Status> {
    let names: Vec<&str> = FileType::ALL.iter().map(|file_type| file_type.name()).collect();
    arguments.mix.json.print(&names, |_| {
        let line = |file_type: &FileType| format!("{:<10} {}", file_type.name(), file_type.description());
        let copy = format!("{:<10} every tensor as it is", "COPY");
        FileType::ALL.iter().map(line).chain([copy]).collect()
    })?;
    Ok(Status::Done)
}

fn names(arguments: &Arguments) -> anyhow::Result<Names> {
    let is_copy = |name: &str| name.eq_ignore_ascii_case("copy");
    let parsed = |name: &str| if is_copy(name) { Some(None) } else { name.parse().ok().map(Some) };
    let known = |name: &str| if is_copy(name) { Ok(None) } else { file_type::of_name(name).map(Some) };
    let (input, rest) = arguments.names.split_first().ok_or_else(|| usage("no model", "IN OUT TYPE"))?;
    let (output, file_type, threads) = match rest {
        [name] => (None, known(name)?, None),
        [output, name] if parsed(name).is_some() => (Some(output.into()), parsed(name).flatten(), None),
        [name, threads] if parsed(name).is_some() => (None, parsed(name).flatten(), Some(threads)),
        [output, name] => (Some(output.into()), known(name)?, None),
        [output, name, threads] => (Some(output.into()), known(name)?, Some(threads)),
        _ => return Err(usage("wrong number of names", "IN OUT TYPE")),
    };
    let threads = match threads {
        None => usize::from(arguments.mix.threads.unwrap_or(0)),
        Some(threads) => threads
            .parse()
            .map_err(|_| usage(format!("the number of threads is `{threads}`"), "a whole number, after the type"))?,
    };
    Ok(Names { input: input.clone(), output, file_type, threads })
}
