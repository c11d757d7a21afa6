//! The edge to a backend: it loads weights, compiles a graph into a program and runs steps.
//!
//! `dyn` here costs nothing: the unit of work is a whole step.

use ascua_gguf::TensorType;

use crate::graph::{Graph, ValueId};
use crate::plan::StepLimits;
use crate::step::StepInputs;
use crate::weights::WeightSource;

/// How exactly products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// F32 arithmetic throughout; activations are not quantised.
    Exact,
    /// Activations are quantised to 8 bits where the weights are quantised (what users of quantised models expect).
    #[default]
    Quantised,
}

/// Size and types of the paged key-value cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSpec {
    /// Blocks in the pool.
    pub blocks: usize,
    /// Tokens in a block.
    pub block_tokens: usize,
    /// Encoding of keys.
    pub key_type: TensorType,
    /// Encoding of values.
    pub value_type: TensorType,
    /// Sequences that can hold a recurrent state at the same time.
    pub slots: usize,
}

/// Everything a device needs to know to compile a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// The largest step.
    pub limits: StepLimits,
    /// The cache.
    pub cache: CacheSpec,
    /// Arithmetic.
    pub precision: Precision,
}

/// Bytes a program takes on its device, known before anything is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights in the file's encoding.
    pub weights: u64,
    /// Key-value cache and recurrent states.
    pub cache: u64,
    /// Activations and kernel scratch.
    pub scratch: u64,
}

impl MemoryPlan {
    /// All bytes.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.scratch
    }
}

/// What a backend could not do.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The device has no kernel for this.
    #[error("device {device} cannot run {operation}: {reason}")]
    Unsupported {
        /// Device name.
        device: String,
        /// Operation name.
        operation: String,
        /// Why.
        reason: String,
    },
    /// The operating system refused the memory.
    #[error("device {device} could not take {bytes} bytes for the {purpose}")]
    OutOfMemory {
        /// Device name.
        device: String,
        /// What it was for.
        purpose: &'static str,
        /// How much.
        bytes: u64,
    },
    /// A weight's bytes do not match its shape and type.
    #[error("weight `{name}` has {found} bytes, its shape and type need {expected}")]
    WeightSize {
        /// Weight name.
        name: String,
        /// Bytes present.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// A step larger than planned.
    #[error("step has {found} {what}, the plan allows {limit}")]
    StepTooLarge {
        /// Tokens, outputs …
        what: &'static str,
        /// How many came.
        found: usize,
        /// How many fit.
        limit: usize,
    },
    /// Input outside its range.
    #[error("step names {what} {found}, the limit is {limit}")]
    OutOfRange {
        /// Token, block, row …
        what: &'static str,
        /// The value found.
        found: usize,
        /// First value not allowed.
        limit: usize,
    },
    /// Worker threads could not be started or one failed.
    #[error("worker threads: {0}")]
    Threads(String),
}

/// A backend.
pub trait Device: Send + Sync {
    /// Short name, such as `CPU`.
    fn name(&self) -> String;

    /// Bytes a graph would take, without loading anything.
    ///
    /// # Errors
    /// An operation is not supported.
    fn plan(&self, graph: &Graph, options: &CompileOptions) -> Result<MemoryPlan, DeviceError>;

    /// Loads the weights (one source per weight of the graph, in order), takes all memory and compiles.
    ///
    /// # Errors
    /// Memory refused, an operation not supported, a weight of the wrong size.
    fn compile(
        &self,
        graph: &Graph,
        weights: Vec<WeightSource>,
        options: &CompileOptions,
    ) -> Result<Box<dyn Program>, DeviceError>;
}

/// What one kind of work took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeShare {
    /// The operation, for products with the type and shape of the weights.
    pub label: String,
    /// Time on the clock.
    pub time: std::time::Duration,
}

/// A compiled graph with its weights, cache and scratch.
pub trait Program: Send {
    /// Runs one step.
    ///
    /// # Errors
    /// The step is larger than planned or names something out of range.
    fn run(&mut self, step: &StepInputs<'_>) -> Result<(), DeviceError>;

    /// The rows of an output value of the last step, `[rows, width]`.
    fn read(&self, value: ValueId) -> &[f32];

    /// From now on, keeps the time that each kind of work takes; what was kept before is forgotten. A device may be
    /// unable to.
    fn start_profile(&mut self) {}

    /// The time of the steps since [`Program::start_profile`] by kind of work, the longest first.
    fn profile(&self) -> Vec<TimeShare> {
        Vec::new()
    }

    /// Copies the contents of one cache block to another (a shared block is about to be written).
    ///
    /// # Errors
    /// A block is out of range.
    fn copy_block(&mut self, from: u32, to: u32) -> Result<(), DeviceError>;

    /// Clears a recurrent state.
    ///
    /// # Errors
    /// The slot is out of range.
    fn clear_slot(&mut self, slot: u32) -> Result<(), DeviceError>;
}
