//! The engine: one model, its cache, and the steps that advance its sequences.
//!
//! Work comes as a flat batch for any number of sequences; it is cut into steps the plan allows. Only the engine edits
//! the cache. Invariant: the cache's token lists say exactly what the device's cache holds.

use ascua_gguf::{Gguf, TensorType};
use ascua_graph::{
    CacheSpec, CompileOptions, Device, Graph, MemoryPlan, Precision, Program, Run, StateSpec, StepInputs, StepLimits,
    Tap, TimeShare, ValueId, WeightSource,
};
use ascua_models::adapter::{adapter_data, is_adapter};
use ascua_models::{Adapter, FileCatalogue, ModelConfig, ModelError, architectures};

use crate::activations::{ActivationSums, Observe, Observer};
use crate::cache::{Cache, SequenceId};
use crate::error::EngineError;

/// Tokens in a block of the cache.
pub const BLOCK_TOKENS: usize = 64;

/// Settings of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Tokens a sequence may hold.
    pub context: usize,
    /// Sequences that may live at the same time, each with room for a whole context.
    pub sequences: usize,
    /// Tokens computed in one step.
    pub step_tokens: usize,
    /// Rows of logits in one step.
    pub step_outputs: usize,
    /// Encoding of cached keys.
    pub key_type: TensorType,
    /// Encoding of cached values.
    pub value_type: TensorType,
    /// Arithmetic.
    pub precision: Precision,
    /// Products whose inputs are observed, instead of giving logits.
    pub observe: Observe,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            context: 4096,
            sequences: 1,
            step_tokens: 512,
            step_outputs: 16,
            key_type: TensorType::F16,
            value_type: TensorType::F16,
            precision: Precision::Quantised,
            observe: Observe::Nothing,
        }
    }
}

/// A model file, understood but not loaded.
pub struct ModelFile {
    file: Gguf,
    config: ModelConfig,
    adapters: Vec<Adapter>,
}

impl ModelFile {
    /// Reads the description of the model in `file`.
    ///
    /// # Errors
    /// The architecture is unknown or its metadata unusable.
    pub fn new(file: Gguf) -> Result<ModelFile, EngineError> {
        if is_adapter(&file) {
            return Err(ModelError::IsAdapter.into());
        }
        let name = file.metadata().architecture().map_err(ModelError::from)?;
        architectures::find(name)?;
        let table = "token_embd.weight";
        let tensor = file.tensor(table).ok_or_else(|| ModelError::MissingTensor { name: table.into() })?;
        let vocabulary = tensor.shape.get(1).copied().unwrap_or(0) as usize;
        let config = ModelConfig::read(file.metadata(), vocabulary)?;
        Ok(ModelFile { file, config, adapters: Vec::new() })
    }

    /// The model with low-rank adapters beside its weights, instead of those it had.
    ///
    /// # Errors
    /// One is for another architecture. Whether its matrices fit the weights is found when the graph is recorded.
    pub fn with_adapters(self, adapters: Vec<Adapter>) -> Result<ModelFile, EngineError> {
        for adapter in &adapters {
            adapter.check_architecture(&self.config.architecture).map_err(ModelError::from)?;
        }
        Ok(ModelFile { adapters, ..self })
    }

    /// The adapters beside the weights.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// The file.
    pub fn file(&self) -> &Gguf {
        &self.file
    }

    /// The model's numbers.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Records the graph for a context length.
    ///
    /// # Errors
    /// The file's tensors are not those of its architecture.
    pub fn graph(&self, context: usize) -> Result<Graph, EngineError> {
        let config = ModelConfig { context_in_use: context, ..self.config.clone() };
        let architecture = architectures::find(&config.architecture)?;
        let catalogue = FileCatalogue::new(&self.file).with_adapters(&self.adapters);
        Ok(ascua_models::record(architecture, &config, &catalogue)?)
    }

    /// The weights a graph names, in its order.
    fn sources(&self, graph: &Graph) -> Result<Vec<WeightSource>, EngineError> {
        let source = |spec: &ascua_graph::WeightSpec| {
            let of_file = || Some(self.file.data(self.file.tensor(&spec.name)?));
            let data = adapter_data(&self.adapters, &spec.name).or_else(of_file);
            let data = data.ok_or_else(|| ModelError::MissingTensor { name: spec.name.clone() })?;
            Ok(WeightSource { spec: spec.clone(), data })
        };
        graph.weights().iter().map(source).collect()
    }
}

/// Bytes an engine would take on a device, without loading anything.
///
/// # Errors
/// The model cannot be recorded, a setting is out of range, or the device lacks an operation.
pub fn plan(device: &dyn Device, model: &ModelFile, options: &EngineOptions) -> Result<MemoryPlan, EngineError> {
    let (graph, _) = recorded(model, options)?;
    check(&graph, options)?;
    Ok(device.plan(&graph, &compile_options(options))?)
}

/// The graph an engine runs, and its taps where it observes.
fn recorded(model: &ModelFile, options: &EngineOptions) -> Result<(Graph, Vec<Tap>), EngineError> {
    let graph = model.graph(options.context)?;
    if options.observe == Observe::Nothing {
        return Ok((graph, Vec::new()));
    }
    Ok(ascua_graph::tapped(&graph, &|weight| options.observe.wants(weight)).map_err(ModelError::from)?)
}

/// Which rows of a batch entry get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// None: the tokens only enter the cache.
    Nothing,
    /// The last row.
    Last,
    /// All rows from this one on.
    From(usize),
}

/// New tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The sequence.
    pub sequence: SequenceId,
    /// Tokens to append.
    pub tokens: &'a [u32],
    /// Rows with logits.
    pub wanted: Wanted,
}

impl Entry<'_> {
    fn wants(&self, row: usize) -> bool {
        match self.wanted {
            Wanted::Nothing => false,
            Wanted::Last => row + 1 == self.tokens.len(),
            Wanted::From(first) => row >= first,
        }
    }
}

/// A row of logits.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    /// Index of the batch entry.
    pub entry: usize,
    /// Row within the entry.
    pub row: usize,
    /// One number for each token of the vocabulary.
    pub values: &'a [f32],
}

/// What steps are run for.
enum Answer {
    Logits(ValueId),
    Activations(Observer),
}

/// A loaded model with its cache.
pub struct Engine {
    program: Box<dyn Program>,
    cache: Cache,
    answer: Answer,
    vocabulary: usize,
    limits: StepLimits,
    plan: MemoryPlan,
}

impl Engine {
    /// Loads a model on a device and takes all memory.
    ///
    /// # Errors
    /// As [`plan`]; or the device refuses the memory.
    pub fn new(device: &dyn Device, model: &ModelFile, options: &EngineOptions) -> Result<Engine, EngineError> {
        let (graph, taps) = recorded(model, options)?;
        check(&graph, options)?;
        let compile = compile_options(options);
        let plan = device.plan(&graph, &compile)?;
        let program = device.compile(&graph, model.sources(&graph)?, &compile)?;
        let answer = match options.observe {
            Observe::Nothing => {
                Answer::Logits(*graph.outputs().first().expect("the decoder always marks its logits as output"))
            }
            Observe::Layers | Observe::LayersAndOutput => Answer::Activations(Observer::new(&graph, taps)),
        };
        Ok(Engine {
            program,
            cache: Cache::new(compile.cache.blocks, BLOCK_TOKENS, options.context, options.sequences),
            answer,
            vocabulary: model.config().vocabulary,
            limits: compile.limits,
            plan,
        })
    }

    /// Bytes taken.
    pub fn memory(&self) -> MemoryPlan {
        self.plan
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// From now on, keeps the time that each kind of work takes.
    pub fn start_profile(&mut self) {
        self.program.start_profile();
    }

    /// The time of the steps since [`Engine::start_profile`], the longest first; nothing from a device that cannot tell.
    pub fn profile(&self) -> Vec<TimeShare> {
        self.program.profile()
    }

    /// What was observed so far; nothing where the engine gives logits.
    pub fn activations(&self) -> &[ActivationSums] {
        match &self.answer {
            Answer::Logits(_) => &[],
            Answer::Activations(observer) => &observer.activations,
        }
    }

    /// The sequences and their blocks.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// A new, empty sequence.
    ///
    /// # Errors
    /// All are in use.
    pub fn create_sequence(&mut self) -> Result<SequenceId, EngineError> {
        let id = self.cache.create()?;
        self.program.clear_slot(id.slot())?;
        Ok(id)
    }

    /// A copy of a sequence that shares its history.
    ///
    /// # Errors
    /// All are in use.
    pub fn fork_sequence(&mut self, id: SequenceId) -> Result<SequenceId, EngineError> {
        self.cache.fork(id)
    }

    /// Ends a sequence.
    pub fn release_sequence(&mut self, id: SequenceId) {
        self.cache.release(id);
    }

    /// Rolls a sequence back to its first `length` tokens.
    ///
    /// # Errors
    /// It does not exist.
    pub fn truncate_sequence(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError> {
        self.cache.truncate(id, length)
    }

    /// Appends the entries' tokens to their sequences and hands each wanted row of logits to `sink`, in order. An engine
    /// that observes takes every row and hands over none.
    ///
    /// # Errors
    /// A token or sequence is unknown, a context is full; what earlier steps appended stays.
    pub fn evaluate(&mut self, entries: &[Entry<'_>], sink: &mut dyn FnMut(Logits<'_>)) -> Result<(), EngineError> {
        for token in entries.iter().flat_map(|entry| entry.tokens) {
            if *token as usize >= self.vocabulary {
                return Err(EngineError::UnknownToken { token: *token, vocabulary: self.vocabulary });
            }
        }
        let mut step = Step::default();
        for (index, &entry) in entries.iter().enumerate() {
            let wanted = match self.answer {
                Answer::Logits(_) => entry.wanted,
                Answer::Activations(_) => Wanted::From(0),
            };
            let entry = &Entry { wanted, ..entry };
            let mut row = 0;
            while row < entry.tokens.len() {
                let taken = self.fit(entry, row, &step);
                if taken == 0 {
                    self.run(&mut step, sink)?;
                    continue;
                }
                step.push(index, entry, row..row + taken);
                row += taken;
            }
        }
        self.run(&mut step, sink)
    }

    /// How many tokens of an entry, from `row` on, still fit into the step.
    fn fit(&self, entry: &Entry<'_>, row: usize, step: &Step) -> usize {
        let mut outputs = step.outputs.len();
        let room = self.limits.tokens - step.tokens.len();
        let mut taken = 0;
        while taken < room && row + taken < entry.tokens.len() {
            outputs += usize::from(entry.wants(row + taken));
            if outputs > self.limits.outputs {
                break;
            }
            taken += 1;
        }
        taken
    }

    fn run(&mut self, step: &mut Step, sink: &mut dyn FnMut(Logits<'_>)) -> Result<(), EngineError> {
        if step.tokens.is_empty() {
            return Ok(());
        }
        // Take the blocks of every part first, so that block lists are complete when the runs borrow them.
        let mut starts = Vec::with_capacity(step.parts.len());
        for part in &step.parts {
            let start = self.cache.tokens(part.sequence)?.len();
            for copy in self.cache.append(part.sequence, &step.tokens[part.rows.clone()])? {
                self.program.copy_block(copy.from, copy.to)?;
            }
            starts.push(start);
        }
        let mut positions = Vec::with_capacity(step.tokens.len());
        let mut runs = Vec::with_capacity(step.parts.len());
        for (part, &start) in step.parts.iter().zip(&starts) {
            positions.extend((start..start + part.rows.len()).map(|p| p as u32));
            runs.push(Run {
                tokens: part.rows.clone(),
                first_position: start,
                blocks: self.cache.blocks(part.sequence)?,
                slot: part.sequence.slot(),
            });
        }
        let rows: Vec<u32> = step.outputs.iter().map(|output| output.0 as u32).collect();
        let inputs = StepInputs { tokens: &step.tokens, positions: &positions, runs: &runs, outputs: &rows };
        self.program.run(&inputs)?;
        match &mut self.answer {
            Answer::Activations(observer) => observer.add(&*self.program),
            Answer::Logits(output) => {
                let logits = self.program.read(*output);
                for (values, &(_, entry, row)) in logits.chunks_exact(self.vocabulary).zip(&step.outputs) {
                    sink(Logits { entry, row, values });
                }
            }
        }
        step.clear();
        Ok(())
    }
}

/// A step being put together.
#[derive(Default)]
struct Step {
    tokens: Vec<u32>,
    parts: Vec<Part>,
    /// Row of the step, entry, row of the entry.
    outputs: Vec<(usize, usize, usize)>,
}

struct Part {
    sequence: SequenceId,
    rows: std::ops::Range<usize>,
}

impl Step {
    fn push(&mut self, index: usize, entry: &Entry<'_>, rows: std::ops::Range<usize>) {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(&entry.tokens[rows.clone()]);
        self.parts.push(Part { sequence: entry.sequence, rows: first..self.tokens.len() });
        for row in rows.clone().filter(|&row| entry.wants(row)) {
            self.outputs.push((first + row - rows.start, index, row));
        }
    }

    fn clear(&mut self) {
        self.tokens.clear();
        self.parts.clear();
        self.outputs.clear();
    }
}

fn compile_options(options: &EngineOptions) -> CompileOptions {
    let tokens = options.step_tokens.min(options.context * options.sequences);
    let outputs = match options.observe {
        Observe::Nothing => options.step_outputs.min(tokens),
        Observe::Layers | Observe::LayersAndOutput => tokens,
    };
    CompileOptions {
        limits: StepLimits { tokens, outputs },
        cache: CacheSpec {
            blocks: options.context.div_ceil(BLOCK_TOKENS) * options.sequences,
            block_tokens: BLOCK_TOKENS,
            key_type: options.key_type,
            value_type: options.value_type,
            slots: options.sequences,
        },
        precision: options.precision,
    }
}

fn check(graph: &Graph, options: &EngineOptions) -> Result<(), EngineError> {
    let setting = |name, found, least, most| {
        if (least..=most).contains(&found) { Ok(()) } else { Err(EngineError::Setting { name, found, least, most }) }
    };
    setting("context", options.context, 1, 1 << 24)?;
    setting("sequences", options.sequences, 1, 1 << 10)?;
    setting("tokens in a step", options.step_tokens, 1, 1 << 16)?;
    setting("outputs in a step", options.step_outputs, 1, 1 << 16)?;
    for state in graph.states() {
        let StateSpec::KeyValue { key_size, values, .. } = *state else { continue };
        for (tensor_type, head_size) in [(options.key_type, key_size), (options.value_type, values.size())] {
            if head_size % tensor_type.block_len() != 0 {
                let block = tensor_type.block_len();
                return Err(EngineError::CacheType { tensor_type, head_size, block });
            }
        }
    }
    Ok(())
}
