//! The null device: plans everything, checks every step, computes nothing. It proves a graph's shapes and memory on
//! paper, and holds the checks and byte counts that all devices share.

use crate::device::{CompileOptions, Device, DeviceError, MemoryPlan, Program};
use crate::graph::{CachedValues, Graph, StateSpec, ValueId};
use crate::plan::Plan;
use crate::step::StepInputs;
use crate::weights::WeightSource;

/// The device.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullDevice;

impl Device for NullDevice {
    fn name(&self) -> String {
        "null".into()
    }

    fn plan(&self, graph: &Graph, options: &CompileOptions) -> Result<MemoryPlan, DeviceError> {
        Ok(memory_plan(graph, options))
    }

    fn compile(
        &self,
        graph: &Graph,
        _weights: Vec<WeightSource>,
        options: &CompileOptions,
    ) -> Result<Box<dyn Program>, DeviceError> {
        Ok(Box::new(NullProgram { graph: graph.clone(), options: *options }))
    }
}

struct NullProgram {
    graph: Graph,
    options: CompileOptions,
}

impl Program for NullProgram {
    fn run(&mut self, step: &StepInputs<'_>) -> Result<(), DeviceError> {
        check_step(&self.graph, &self.options, step)
    }

    fn read(&self, _value: ValueId) -> &[f32] {
        &[]
    }

    fn copy_block(&mut self, _from: u32, _to: u32) -> Result<(), DeviceError> {
        Ok(())
    }

    fn clear_slot(&mut self, _slot: u32) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// Bytes of weights, cache and activations, without any kernel's own scratch.
pub fn memory_plan(graph: &Graph, options: &CompileOptions) -> MemoryPlan {
    MemoryPlan {
        weights: graph.weights().iter().map(|w| w.bytes() as u64).sum(),
        cache: graph.states().iter().map(|s| state_bytes(s, options)).sum(),
        scratch: Plan::new(graph, options.limits).arena_bytes() as u64,
    }
}

/// Bytes of one state.
pub fn state_bytes(state: &StateSpec, options: &CompileOptions) -> u64 {
    let cache = &options.cache;
    match *state {
        StateSpec::KeyValue { kv_heads, key_size, values, .. } => {
            let cells = (cache.blocks * cache.block_tokens * kv_heads) as u64;
            let row = |tensor_type: ascua_gguf::TensorType, elements: usize| {
                (elements.div_ceil(tensor_type.block_len()) * tensor_type.block_bytes()) as u64
            };
            let value_bytes = match values {
                CachedValues::Own { size } => row(cache.value_type, size),
                CachedValues::KeyPrefix { .. } => 0,
            };
            cells * (row(cache.key_type, key_size) + value_bytes)
        }
        StateSpec::Recurrent { elements } => (cache.slots * elements * 4) as u64,
    }
}

/// Checks a step against what was planned, so that no kernel has to.
///
/// # Errors
/// Too many tokens or outputs; a token, row, block or slot out of range or order; lists of unequal length.
pub fn check_step(graph: &Graph, options: &CompileOptions, step: &StepInputs<'_>) -> Result<(), DeviceError> {
    let too_large = |what, found, limit| Err(DeviceError::StepTooLarge { what, found, limit });
    let out_of_range = |what, found, limit| Err(DeviceError::OutOfRange { what, found, limit });
    let tokens = step.tokens.len();
    if tokens > options.limits.tokens {
        return too_large("tokens", tokens, options.limits.tokens);
    }
    if step.outputs.len() > options.limits.outputs {
        return too_large("outputs", step.outputs.len(), options.limits.outputs);
    }
    if step.positions.len() != tokens {
        return out_of_range("positions", step.positions.len(), tokens);
    }
    if let Some(&row) = step.outputs.iter().find(|&&row| row as usize >= tokens) {
        return out_of_range("output row", row as usize, tokens);
    }
    if let Some(rows) = step.outputs.windows(2).find(|rows| rows[0] >= rows[1]) {
        return out_of_range("output row before a later one", rows[0] as usize, rows[1] as usize);
    }
    let vocabulary = graph.nodes().iter().find_map(|node| match &node.op {
        crate::Op::Embedding(e) => Some(graph.weight_spec(e.weight).rows()),
        _ => None,
    });
    if let Some(limit) = vocabulary
        && let Some(&token) = step.tokens.iter().find(|&&token| token as usize >= limit)
    {
        return out_of_range("token", token as usize, limit);
    }
    let mut next = 0;
    for run in step.runs {
        if run.tokens.start != next || run.tokens.end < run.tokens.start || run.tokens.end > tokens {
            return out_of_range("run ending at row", run.tokens.end, tokens);
        }
        next = run.tokens.end;
        let end = run.first_position + run.len();
        if run.blocks.len() * options.cache.block_tokens < end {
            return out_of_range("position", end, run.blocks.len() * options.cache.block_tokens);
        }
        if let Some(&block) = run.blocks.iter().find(|&&block| block as usize >= options.cache.blocks) {
            return out_of_range("block", block as usize, options.cache.blocks);
        }
        if run.slot as usize >= options.cache.slots {
            return out_of_range("slot", run.slot as usize, options.cache.slots);
        }
        for (index, row) in run.tokens.clone().enumerate() {
            if step.positions[row] as usize != run.first_position + index {
                return out_of_range("position", step.positions[row] as usize, run.first_position + index);
            }
        }
    }
    if next != tokens {
        return out_of_range("rows covered by runs", next, tokens);
    }
    Ok(())
}
