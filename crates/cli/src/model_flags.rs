//! The flags that say how a model is opened, the same in every command that loads one.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ascua::gguf::TensorType;
use ascua::tokenizer::{Tokenizer, Warning};
use ascua::{Adapter, ContextChoice, Isa, Model, ModelOptions, Opened, Precision, Workers};
use ascua_convert::convert::{is_checkpoint, is_peft};
use clap::{Args, ValueEnum};

use crate::adapter_flag::{self, AdapterFlag};
use crate::failure::usage;
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::placement_flags::PlacementFlags;
use crate::quantity::bytes;
use crate::terminal::Style;

/// Encodings the key-value cache can have.
const CACHE_TYPES: &[TensorType] =
    &[TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q8_0, TensorType::Q4_0];

/// How to open a model. Commands take one number of threads, or as many as `T` takes.
#[derive(Args, Clone, Debug)]
pub struct ModelFlags<T: Args = ThreadCount> {
    /// Context length in tokens; 0: as long as the model was trained for, or what fits into memory
    #[arg(
        long,
        short = 'c',
        visible_alias = "ctx-size",
        value_name = "N",
        default_value_t = 0,
        help_heading = "Model"
    )]
    pub ctx: usize,

    #[command(flatten)]
    pub threads: T,

    #[command(flatten)]
    pub placement: PlacementFlags,

    /// Instruction set to use: one of those `ascua info --cpu` lists [default: the best there is]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub isa: Option<Isa>,

    /// Encoding of the cached keys: f32, f16, bf16, q8_0, q4_0
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = cache_type, help_heading = "Model")]
    pub cache_type_k: TensorType,

    /// Encoding of the cached values: f32, f16, bf16, q8_0, q4_0
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = cache_type, help_heading = "Model")]
    pub cache_type_v: TensorType,

    /// Arithmetic: `quantised` (activations to 8 bits where the weights are quantised) or `exact` (F32 throughout)
    #[arg(long, value_enum, hide_possible_values = true, value_name = "HOW", default_value_t = PrecisionChoice::Quantised, help_heading = "Model")]
    pub precision: PrecisionChoice,

    /// Pre-tokenizer to use instead of the one the file names
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub pre_tokenizer: Option<String>,

    /// LoRA adapter beside the weights (GGUF, or a directory of PEFT), and how strongly it counts [default: 1]; can be
    /// repeated
    #[arg(long, value_name = "FILE[:SCALE]", value_parser = adapter_flag::parse, help_heading = "Model")]
    lora: Vec<AdapterFlag>,

    #[command(flatten)]
    source: SourceFlags,

    /// Say what is loaded, the memory it takes and how long everything took, on standard error
    #[arg(long, short = 'v')]
    pub verbose: bool,
}

/// One number of threads.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThreadCount {
    /// Worker threads [default: as many as the machine gives us]
    #[arg(long, short = 't', value_name = "N", value_parser = threads, help_heading = "Model")]
    threads: Option<usize>,
}

/// Several numbers of threads.
#[derive(Args, Clone, Debug)]
pub struct ThreadCounts {
    /// Numbers of worker threads [default: as many as the machine gives us]
    #[arg(long, short = 't', value_name = "N,…", value_delimiter = ',', value_parser = threads, help_heading = "Model")]
    pub threads: Vec<usize>,
}

/// What the library is told about threads before a command says more.
pub trait Threads: Args {
    /// The number, where there is one.
    fn count(&self) -> Option<usize>;
}

impl Threads for ThreadCount {
    fn count(&self) -> Option<usize> {
        self.threads
    }
}

impl Threads for ThreadCounts {
    fn count(&self) -> Option<usize> {
        self.threads.first().copied()
    }
}

/// `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionChoice {
    /// Activations quantised to 8 bits where the weights are quantised
    Quantised,
    /// F32 arithmetic, activations not quantised
    Exact,
}

/// A loaded model and how long that took.
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// Time from the open file to the first possible step.
    pub load_time: Duration,
}

impl<T: Threads> ModelFlags<T> {
    /// The same as the library takes it, but for the adapters, which [`ModelFlags::load_with`] opens.
    ///
    /// # Errors
    /// Threads cannot be placed as they should.
    pub fn options(&self) -> anyhow::Result<ModelOptions> {
        Ok(ModelOptions {
            context: match self.ctx {
                0 => ContextChoice::Automatic,
                tokens => ContextChoice::Tokens(tokens),
            },
            threads: self.threads.count(),
            prompt_threads: self.placement.threads_batch,
            placement: self.placement.placement()?,
            isa: self.isa,
            key_type: self.cache_type_k,
            value_type: self.cache_type_v,
            precision: match self.precision {
                PrecisionChoice::Exact => Precision::Exact,
                PrecisionChoice::Quantised => Precision::Quantised,
            },
            pre_tokenizer: self.pre_tokenizer.clone(),
            ..ModelOptions::default()
        })
    }

    /// Finds or fetches the model `name`; gives its path.
    pub fn resolve(&self, name: &str) -> anyhow::Result<PathBuf> {
        if is_peft(Path::new(name)) && !is_checkpoint(Path::new(name)) {
            let hint = format!("the model it was made for goes first: MODEL --lora {name}");
            return Err(usage(format!("{name} is a LoRA adapter, not a model"), hint));
        }
        Ok(model_source::resolve(name, &self.source)?)
    }

    /// Finds or fetches the model `name` and loads it as the flags say.
    pub fn load(&self, name: &str) -> anyhow::Result<Loaded> {
        self.load_with(name, &self.options()?)
    }

    /// As [`ModelFlags::load`], with options a command has changed.
    pub fn load_with(&self, name: &str, options: &ModelOptions) -> anyhow::Result<Loaded> {
        let path = self.resolve(name)?;
        let started = Instant::now();
        let mut options = options.clone();
        for flag in &self.lora {
            options.adapters.push(flag.open(name)?);
        }
        let opened = Opened::new(&path, &options)?;
        if self.verbose {
            output::note(&format!(
                "model   {}: {}, {} layers, vocabulary {}",
                path.display(),
                opened.file.config().architecture,
                opened.file.config().layers,
                opened.file.config().vocabulary
            ));
            opened.file.adapters().iter().for_each(|adapter| output::note(&adapter_line(adapter)));
            output::note(&format!("threads {}, instruction set {}", threads_line(opened.workers()), opened.isa()));
        }
        // A person sees what will be taken before it is taken; a script asks for it.
        if self.verbose || std::io::stderr().is_terminal() {
            output::note(&Style::of_stderr().faint(&plan_line(&opened)));
        }
        let trained = opened.file.config().context_length;
        if opened.context() > trained {
            output::warn(&format!(
                "a context of {} is longer than the {trained} tokens the model was trained for",
                opened.context()
            ));
        }
        let model = opened.load()?;
        let load_time = started.elapsed();
        if let Ok(tokenizer) = model.tokenizer() {
            tell_warnings(tokenizer);
        }
        Ok(Loaded { model, load_time })
    }
}

/// Says what is doubtful about a tokenizer, and which flag helps.
pub fn tell_warnings(tokenizer: &Tokenizer) {
    for warning in tokenizer.warnings() {
        output::warn(&warning.to_string());
        if matches!(warning, Warning::UnknownPreTokenizer { .. } | Warning::MissingPreTokenizer) {
            output::note(&format!("{} --pre-tokenizer NAME chooses another one", Style::of_stderr().hint("hint:")));
        }
    }
}

/// An adapter on one line.
fn adapter_line(adapter: &Adapter) -> String {
    let rank = match adapter.ranks() {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    format!("adapter {}: scale {}, rank {rank}, {} weights", adapter.name(), adapter.scale(), adapter.weights())
}

/// How many threads, for prompts too where that differs, and on which processors.
fn threads_line(workers: &Workers) -> String {
    let mut line = workers.generation.to_string();
    if workers.prompt != workers.generation {
        line += &format!(" ({} for prompts)", workers.prompt);
    }
    if let Some(processors) = workers.placement.processors() {
        let numbers: Vec<String> = processors.iter().map(usize::to_string).collect();
        line += &format!(" on processors {}", numbers.join(", "));
    }
    line
}

/// The memory plan on one line.
pub fn plan_line(opened: &Opened) -> String {
    let plan = opened.plan();
    let free = ascua::available_memory().map_or(String::new(), |free| format!(", {} free", bytes(free)));
    format!(
        "memory  {}: weights {}, cache {} for a context of {}, scratch {}{free}",
        bytes(plan.total()),
        bytes(plan.weights),
        bytes(plan.cache),
        opened.context(),
        bytes(plan.scratch)
    )
}

/// Reads a number of threads.
pub fn threads(text: &str) -> Result<usize, String> {
    const MOST: usize = 1024;
    match text.parse() {
        Ok(threads @ 1..=MOST) => Ok(threads),
        _ => Err(format!("a whole number from 1 to {MOST} is needed")),
    }
}

fn cache_type(text: &str) -> Result<TensorType, String> {
    let known = |tensor_type: &&TensorType| tensor_type.name().eq_ignore_ascii_case(text);
    CACHE_TYPES.iter().find(known).copied().ok_or_else(|| {
        let names: Vec<String> = CACHE_TYPES.iter().map(|known| known.name().to_ascii_lowercase()).collect();
        format!("the cache can be {}", names.join(", "))
    })
}
