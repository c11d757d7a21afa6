//! `ascua convert`: writes a Hugging Face checkpoint as a model file, or an adapter of PEFT as an adapter's.

use std::path::{Path, PathBuf};

use ascua::gguf::{FirstPart, Metadata};
use ascua_convert::convert::{ADAPTER_TYPES, Conversion, PeftAdapter, is_checkpoint, is_peft};
use ascua_convert::quantize::{FileType, Options, Parts, Plan};
use clap::Args;

use crate::failure::{Status, usage};
use crate::file_type;
use crate::mix_flags::{LoadedImportance, MixFlags};
use crate::split_flags::SplitFlags;
use crate::written_model::{Writing, finish};
use crate::{adapter_source, checkpoint_source};

const AFTER_HELP: &str = "\
Examples:
  ascua convert ./my-model                                  as exact as the checkpoint
  ascua convert ./my-model -o model.gguf --type Q4_K_M      quantised on the way
  ascua convert ./my-model --type Q4_K_M --imatrix model.imatrix.gguf
  ascua convert ./my-model --split-max-size 2G              my-model-00001-of-0000N.gguf and so on
  ascua convert ./my-model --type Q8_0 --dry-run            sizes only, nothing is written
  ascua run ./my-model \"Hello\"                              converts into the cache, then runs
  ascua convert ./my-lora --base ./my-model -o lora.gguf    a LoRA adapter of PEFT, for --lora

The directory is as Hugging Face has it: config.json, the tokenizer's files, weights as safetensors or PyTorch's .bin,
in one file or several, in F64, F32, BF16, F16 or FP8. Nothing in it is executed. `auto` takes the 16-bit type of the
weights. Memory stays small however large the model is; the file appears when it is whole.

The directory of a LoRA adapter has adapter_config.json and adapter_model.safetensors (or .bin). Of the base model its
config.json is needed: from --base, or from the directory that the adapter names. Types are F32 (auto), F16, BF16, Q8_0.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Write a Hugging Face checkpoint as a GGUF file, in any type
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Directory with config.json, tokenizer and weights; or of a LoRA adapter of PEFT
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Directory of the model that an adapter was made for; its config.json is read, no weights
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,

    /// File to write [default: NAME-TYPE.gguf here]
    #[arg(long, short = 'o', visible_alias = "outfile", value_name = "FILE")]
    output: Option<PathBuf>,

    /// Type: auto, F16, BF16, F32, Q8_0, Q4_K_M … (`ascua quantize --list-types` shows all)
    #[arg(long = "type", visible_alias = "outtype", value_name = "TYPE", default_value = "auto", value_parser = type_choice)]
    file_type: TypeChoice,

    /// Pre-tokenizer to name instead of the one that is recognised
    #[arg(long, visible_alias = "pre", value_name = "NAME", conflicts_with = "no_tokenizer")]
    pre_tokenizer: Option<String>,

    /// Leave the tokenizer out: the model takes and gives token ids only
    #[arg(long)]
    no_tokenizer: bool,

    #[command(flatten)]
    split: SplitFlags,

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
    let directory = arguments.directory.as_path();
    if is_peft(directory) && (arguments.base.is_some() || !is_checkpoint(directory)) {
        return run_adapter(&arguments);
    }
    if arguments.base.is_some() {
        let hint = "it has adapter_config.json, and adapter_model.safetensors or .bin; of a model --base is not needed";
        return Err(usage(format!("{} is not the directory of a LoRA adapter", directory.display()), hint));
    }
    let importance = arguments.mix.importance()?;
    let vocabulary = match arguments.no_tokenizer {
        true => Metadata::new(),
        false => checkpoint_source::tokenizer_keys(directory, arguments.pre_tokenizer.as_deref())?,
    };
    let conversion = Conversion::open(directory, &vocabulary)?;
    let file_type = match arguments.file_type {
        TypeChoice::Type(file_type) => file_type,
        TypeChoice::Auto => conversion.closest_file_type(),
    };
    let mut options = arguments.mix.options(file_type, LoadedImportance::as_option(&importance))?;
    options.parts = match arguments.split.limit() {
        Some(limit) => Parts::Split { limit, first: arguments.split.first() },
        None if arguments.split.first() == FirstPart::KeysAlone => {
            return Err(usage("--no-tensor-first-split cuts nothing", "--split-max-size or --split-max-tensors does"));
        }
        None => Parts::One,
    };
    let plan = Plan::new(&conversion, options)?;
    let output = arguments.output(file_type)?;
    finish(&plan, &Writing { verb: "converting", type_name: file_type.name(), output: &output }, &arguments.mix)
}

/// An adapter instead of a model.
fn run_adapter(arguments: &Arguments) -> anyhow::Result<Status> {
    let given = [
        (arguments.pre_tokenizer.is_some(), "--pre-tokenizer"),
        (arguments.no_tokenizer, "--no-tokenizer"),
        (arguments.split.limit().is_some(), "a limit of parts"),
    ];
    let given = given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag);
    if let Some(flag) = given.or_else(|| arguments.mix.choice()) {
        return Err(usage(format!("{flag} is for models, and this is an adapter"), "--type gives all of it one type"));
    }
    let file_type = match arguments.file_type {
        TypeChoice::Auto => FileType::F32,
        TypeChoice::Type(file_type) if ADAPTER_TYPES.contains(&file_type) => file_type,
        TypeChoice::Type(file_type) => {
            return Err(usage(format!("an adapter cannot be {file_type}"), "--type F32, F16, BF16 or Q8_0"));
        }
    };
    let conversion =
        adapter_source::conversion(&PeftAdapter::open(&arguments.directory)?, arguments.base.as_deref(), file_type)?;
    let options = Options { copy: true, ..arguments.mix.options(file_type, None)? };
    let plan = Plan::new(&conversion, options)?;
    let output = arguments.output(file_type)?;
    finish(&plan, &Writing { verb: "converting", type_name: file_type.name(), output: &output }, &arguments.mix)
}

impl Arguments {
    /// The file to write.
    fn output(&self, file_type: FileType) -> anyhow::Result<PathBuf> {
        match &self.output {
            Some(output) => Ok(output.clone()),
            None => Ok(PathBuf::from(format!("{}-{file_type}.gguf", name_of(&self.directory)?))),
        }
    }
}

/// The name of a directory, also of `.`.
fn name_of(directory: &Path) -> anyhow::Result<String> {
    let whole = directory.canonicalize()?;
    let name = whole.file_name().ok_or_else(|| usage("the directory has no name", "give the file's with --output"))?;
    Ok(name.to_string_lossy().into_owned())
}

fn type_choice(name: &str) -> Result<TypeChoice, String> {
    if name.eq_ignore_ascii_case("auto") {
        return Ok(TypeChoice::Auto);
    }
    file_type::of_flag(name).map(TypeChoice::Type)
}
