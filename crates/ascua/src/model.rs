//! A model: its file, tokenizer, template and engine, opened in an order that refuses early.
//!
//! First the file is described ([`Opened`]), then its memory is planned for a context and compared with what there is;
//! only then are weights and cache taken.

use std::path::Path;

use ascua_cpu::CpuDevice;
use ascua_engine::{Engine, EngineError, EngineOptions, ModelFile, Observe};
use ascua_graph::{MemoryPlan, Precision};
use ascua_models::Adapter;

use crate::chat::ChatTemplate;
use crate::error::Error;
use crate::gguf::{Gguf, TensorType};
use crate::tokenizer::{Tokenizer, TokenizerError, TokenizerOptions};
use crate::{Isa, Placement, Workers, available_memory};

/// Contexts shorter than this are not chosen automatically.
const SHORTEST_CONTEXT: usize = 512;
/// Part of the free memory an automatic context may fill, in percent.
const FILL_PERCENT: u64 = 90;

/// How long a context to open a model for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContextChoice {
    /// As long as the model was trained for, or what fits.
    #[default]
    Automatic,
    /// Exactly this many tokens.
    Tokens(usize),
}

/// How to open a model.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Context length.
    pub context: ContextChoice,
    /// Sequences that may live at the same time.
    pub sequences: usize,
    /// Tokens computed in one step.
    pub step_tokens: usize,
    /// Rows of logits in one step.
    pub step_outputs: usize,
    /// Worker threads; `None`: as many as the machine, or the placement, gives us.
    pub threads: Option<usize>,
    /// Worker threads for steps of more than one token, prompts above all; `None`: the same.
    pub prompt_threads: Option<usize>,
    /// The processors that workers run on.
    pub placement: Placement,
    /// Instruction-set level; `None`: the best there is.
    pub isa: Option<Isa>,
    /// Encoding of cached keys.
    pub key_type: TensorType,
    /// Encoding of cached values.
    pub value_type: TensorType,
    /// Arithmetic.
    pub precision: Precision,
    /// Products whose inputs are observed, instead of giving logits.
    pub observe: Observe,
    /// Pre-tokenizer to use instead of the one the file names.
    pub pre_tokenizer: Option<String>,
    /// Low-rank adapters (LoRA) to use beside the weights.
    pub adapters: Vec<Adapter>,
}

impl Default for ModelOptions {
    fn default() -> ModelOptions {
        let engine = EngineOptions::default();
        ModelOptions {
            context: ContextChoice::Automatic,
            sequences: 1,
            step_tokens: engine.step_tokens,
            step_outputs: engine.step_outputs,
            threads: None,
            prompt_threads: None,
            placement: Placement::default(),
            isa: None,
            key_type: engine.key_type,
            value_type: engine.value_type,
            precision: engine.precision,
            observe: engine.observe,
            pre_tokenizer: None,
            adapters: Vec::new(),
        }
    }
}

impl ModelOptions {
    /// The workers a model opened with these options has: those asked for, or what suits the machine and the placement.
    pub fn workers(&self) -> Workers {
        Workers::new(self.threads, self.prompt_threads, self.placement.clone())
    }

    fn engine(&self, context: usize) -> EngineOptions {
        EngineOptions {
            context,
            sequences: self.sequences,
            step_tokens: self.step_tokens,
            step_outputs: self.step_outputs,
            key_type: self.key_type,
            value_type: self.value_type,
            precision: self.precision,
            observe: self.observe,
        }
    }
}

/// A model file that was understood, with its memory plan; nothing is loaded.
pub struct Opened {
    /// The file and its description.
    pub file: ModelFile,
    device: CpuDevice,
    options: ModelOptions,
    context: usize,
    plan: MemoryPlan,
}

impl Opened {
    /// Reads the description of the model at `path`, chooses a context and plans the memory.
    ///
    /// # Errors
    /// The file is malformed, its architecture unknown, an adapter does not fit it, or the asked-for context does not fit into memory.
    pub fn new(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Opened, Error> {
        Opened::from_file(Gguf::open(path)?, options)
    }

    /// As [`Opened::new`], of a file already read.
    ///
    /// # Errors
    /// As [`Opened::new`].
    pub fn from_file(file: Gguf, options: &ModelOptions) -> Result<Opened, Error> {
        let file = ModelFile::new(file)?.with_adapters(options.adapters.clone())?;
        let isa = options.isa.unwrap_or_else(Isa::detect);
        let device = CpuDevice::new(options.workers(), isa)?;
        let plan = |context: usize| ascua_engine::plan(&device, &file, &options.engine(context));
        let (context, plan) = match options.context {
            ContextChoice::Tokens(context) => (context, plan(context)?),
            ContextChoice::Automatic => {
                let longest = file.config().context_length;
                let context = available_memory().map_or(Ok(longest), |free| {
                    largest_context(longest, free / 100 * FILL_PERCENT, |context| Ok(plan(context)?.total()))
                });
                let context = context?.max(SHORTEST_CONTEXT.min(longest));
                (context, plan(context)?)
            }
        };
        let opened = Opened { device, options: options.clone(), context, plan, file };
        opened.check_memory()?;
        Ok(opened)
    }

    /// Refuses what cannot fit, with the context that would.
    fn check_memory(&self) -> Result<(), Error> {
        let Some(available) = available_memory() else { return Ok(()) };
        if self.plan.total() <= available {
            return Ok(());
        }
        let largest_context = largest_context(self.context, available, |context| {
            Ok(ascua_engine::plan(&self.device, &self.file, &self.options.engine(context))?.total())
        })?;
        Err(Error::Engine(EngineError::DoesNotFit {
            needed: self.plan.total(),
            weights: self.plan.weights,
            cache: self.plan.cache,
            scratch: self.plan.scratch,
            context: self.context,
            available,
            largest_context,
        }))
    }

    /// Context length chosen.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Bytes the model will take.
    pub fn plan(&self) -> MemoryPlan {
        self.plan
    }

    /// Worker threads.
    pub fn workers(&self) -> &Workers {
        self.device.workers()
    }

    /// Instruction-set level.
    pub fn isa(&self) -> Isa {
        self.device.isa()
    }

    /// Takes the memory and loads.
    ///
    /// # Errors
    /// The memory is refused, or the tokenizer or template is broken.
    pub fn load(self) -> Result<Model, Error> {
        let metadata = self.file.file().metadata();
        let tokenizer_options = TokenizerOptions { pre_tokenizer_override: self.options.pre_tokenizer.clone() };
        let tokenizer = match Tokenizer::from_metadata(metadata, &tokenizer_options) {
            Ok(tokenizer) => Ok(tokenizer),
            Err(error @ TokenizerError::NoTokenizer { .. }) => Err(error),
            Err(error) => return Err(error.into()),
        };
        let source = metadata.string("tokenizer.chat_template").ok().flatten();
        let template = ChatTemplate::from_metadata(source);
        let engine = Engine::new(&self.device, &self.file, &self.options.engine(self.context))?;
        Ok(Model { file: self.file, engine, tokenizer, template, context: self.context })
    }
}

/// The largest context up to `longest` whose plan fits into `bytes`; 0 if none does. Halving, then bisection.
fn largest_context(
    longest: usize,
    bytes: u64,
    plan: impl Fn(usize) -> Result<u64, EngineError>,
) -> Result<usize, EngineError> {
    /// Contexts are offered in these steps.
    const STEP: usize = 256;
    if plan(longest)? <= bytes {
        return Ok(longest);
    }
    let (mut fits, mut too_long) = (0, longest.div_ceil(STEP));
    while too_long - fits > 1 {
        let middle = fits.midpoint(too_long);
        if plan(middle * STEP)? <= bytes {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    Ok(fits * STEP)
}

/// A loaded model.
pub struct Model {
    file: ModelFile,
    engine: Engine,
    tokenizer: Result<Tokenizer, TokenizerError>,
    template: Result<Option<ChatTemplate>, crate::chat::ChatError>,
    context: usize,
}

impl Model {
    /// Opens and loads in one go.
    ///
    /// # Errors
    /// As [`Opened::new`] and [`Opened::load`].
    pub fn open(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Model, Error> {
        Opened::new(path, options)?.load()
    }

    /// The file and its description.
    pub fn file(&self) -> &ModelFile {
        &self.file
    }

    /// The engine.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Context length.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Bytes taken.
    pub fn memory(&self) -> MemoryPlan {
        self.engine.memory()
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// The file has none.
    pub fn tokenizer(&self) -> Result<&Tokenizer, Error> {
        self.tokenizer.as_ref().map_err(|error| Error::Tokenizer(error.clone()))
    }

    /// The chat template; `None` where the file has none.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn template(&self) -> Result<Option<&ChatTemplate>, &crate::chat::ChatError> {
        self.template.as_ref().map(Option::as_ref)
    }
}
