//! `ascua convert`: writes a Hugging Face checkpoint as a model file.

use std::path::{Path, PathBuf};

use ascua::gguf::Metadata;
use ascua_convert::convert::Conversion;
use ascua_convert::quantize::{FileType, Plan};
use clap::Args;

use crate::checkpoint_source;
use crate::failure::{Status, usage};
use crate::mix_flags::{LoadedImportance, MixFlags};
use crate::written_model::{Writing, finish};

const AFTER_HELP: &str = "\
Examples:
  ascua convert ./my-model                                  as exact as the checkpoint
  ascua convert ./my-model -o model.gguf --type Q4_K_M      quantised on the way
  ascua convert ./my-model --type Q4_K_M --imatrix model.imatrix.gguf
  ascua convert ./my-model --type Q8_0 --dry-run            sizes only, nothing is written
  ascua run ./my-model \"Hello\"                              converts into the cache, then runs

The directory is as Hugging Face has it: config.json, the tokenizer's files, weights as safetensors or PyTorch's .bin,
in one file or several, in F64, F32, BF16, F16 or FP8. Nothing in it is executed. `auto` takes the 16-bit type of the
weights. Memory stays small however large the model is; the file appears when it is whole.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Write a Hugging Face checkpoint as a GGUF file, in any type
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Directory with config.json, tokenizer and weights
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// File to write [default: NAME-TYPE.gguf here]
    #[arg(long, short = 'o', visible_alias = "outfile", value_name = "FILE")]
    output: Option<PathBuf>,

    /// Type: auto, F16, BF16, F32, Q8_0, Q4_K_M … (`ascua quantize --list-types` shows all)
    #[arg(long = "type", visible_alias = "outtype", value_name = "TYPE", default_value = "auto", value_parser = file_type)]
    file_type: TypeChoice,

    /// Pre-tokenizer to name instead of the one that is recognised
    #[arg(long, value_name = "NAME")]
    pre_tokenizer: Option<String>,

    /// Leave the tokenizer out: the model takes and gives token ids only
    #[arg(long)]
    no_tokenizer: bool,

    #[command(flatten)]
    mix: MixFlags,
}

/// `--type`
#[derive(Clone, Copy, Debug)]
enum TypeChoice {
    /// As the weights are.
    Auto,
    Type(FileType),
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let importance = arguments.mix.importance()?;
    let directory = arguments.directory.as_path();
    let vocabulary = match arguments.no_tokenizer {
        true => Metadata::new(),
        false => checkpoint_source::tokenizer_keys(directory, arguments.pre_tokenizer.as_deref())?,
    };
    let conversion = Conversion::open(directory, &vocabulary)?;
    let file_type = match arguments.file_type {
        TypeChoice::Type(file_type) => file_type,
        TypeChoice::Auto => conversion.closest_file_type(),
    };
    let options = arguments.mix.options(file_type, LoadedImportance::as_option(&importance))?;
    let plan = Plan::new(&conversion, options)?;
    let output = match arguments.output {
        Some(output) => output,
        None => PathBuf::from(format!("{}-{file_type}.gguf", name_of(directory)?)),
    };
    finish(&plan, &Writing { verb: "converting", type_name: file_type.name(), output: &output }, &arguments.mix)
}

/// The name of a directory, also of `.`.
fn name_of(directory: &Path) -> anyhow::Result<String> {
    let whole = directory.canonicalize()?;
    let name = whole.file_name().ok_or_else(|| usage("the directory has no name", "give the file's with --output"))?;
    Ok(name.to_string_lossy().into_owned())
}

fn file_type(name: &str) -> Result<TypeChoice, String> {
    if name.eq_ignore_ascii_case("auto") {
        return Ok(TypeChoice::Auto);
    }
    checkpoint_source::file_type(name).map(TypeChoice::Type)
}
