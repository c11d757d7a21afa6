//! The reference device: every operation by its reference kernel, all in F32. Slow, plain, and the oracle of the others.

use std::sync::Arc;

use crate::device::{CompileOptions, Device, DeviceError, MemoryPlan, Program};
use crate::graph::{Graph, StateId, StateSpec, ValueId};
use crate::null::memory_plan;
use crate::ops::OpDef;
use crate::shape::RowUnit;
use crate::step::StepInputs;
use crate::weights::{WeightId, WeightSource, WeightSpec};

/// What a reference kernel sees besides its inputs.
pub struct ReferenceContext<'a> {
    /// The step.
    pub step: &'a StepInputs<'a>,
    /// What the rows of the value being made are counted in.
    pub unit: RowUnit,
    /// Width of the value being made.
    pub width: usize,
    /// Widths of the inputs.
    pub input_widths: Vec<usize>,
    /// Tokens in a cache block.
    pub block_tokens: usize,
    graph: &'a Graph,
    weights: &'a [Arc<[f32]>],
    states: &'a mut [State],
}

impl ReferenceContext<'_> {
    /// A weight, decoded to F32.
    pub fn weight(&self, id: WeightId) -> Arc<[f32]> {
        self.weights[id.0 as usize].clone()
    }

    /// Shape and type of a weight.
    pub fn spec(&self, id: WeightId) -> &WeightSpec {
        self.graph.weight_spec(id)
    }

    /// What a state is.
    pub fn state_spec(&self, id: StateId) -> &StateSpec {
        &self.graph.states()[id.0 as usize]
    }

    /// Keys and values of a cache, `[cells, width]` each, grown on first use.
    pub fn key_value(&mut self, id: StateId, key_width: usize, value_width: usize) -> (&mut [f32], &mut [f32]) {
        let state = &mut self.states[id.0 as usize];
        state.first.resize(state.cells * key_width, 0.0);
        state.second.resize(state.cells * value_width, 0.0);
        (&mut state.first, &mut state.second)
    }

    /// The recurrent state of one sequence.
    pub fn recurrent(&mut self, id: StateId, slot: u32) -> &mut [f32] {
        let StateSpec::Recurrent { elements } = self.graph.states()[id.0 as usize] else { return &mut [] };
        let state = &mut self.states[id.0 as usize];
        let end = (slot as usize + 1) * elements;
        if state.first.len() < end {
            state.first.resize(end, 0.0);
        }
        &mut state.first[end - elements..end]
    }
}

#[derive(Clone, Default)]
struct State {
    cells: usize,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The device; it has no settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReferenceDevice;

impl Device for ReferenceDevice {
    fn name(&self) -> String {
        "reference".into()
    }

    fn plan(&self, graph: &Graph, options: &CompileOptions) -> Result<MemoryPlan, DeviceError> {
        Ok(memory_plan(graph, options))
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: Vec<WeightSource>,
        options: &CompileOptions,
    ) -> Result<Box<dyn Program>, DeviceError> {
        let weights = weights.iter().map(|w| w.decode().map(Arc::from)).collect::<Result<_, _>>()?;
        let cells = options.cache.blocks * options.cache.block_tokens;
        Ok(Box::new(ReferenceProgram {
            graph: graph.clone(),
            weights,
            states: vec![State { cells, ..State::default() }; graph.states().len()],
            values: vec![Vec::new(); graph.value_count()],
            options: *options,
        }))
    }
}

struct ReferenceProgram {
    graph: Graph,
    weights: Vec<Arc<[f32]>>,
    states: Vec<State>,
    values: Vec<Vec<f32>>,
    options: CompileOptions,
}

impl Program for ReferenceProgram {
    fn run(&mut self, step: &StepInputs<'_>) -> Result<(), DeviceError> {
        crate::null::check_step(&self.graph, &self.options, step)?;

        for node in self.graph.nodes() {
            let shape = self.graph.shape(node.output);
            let mut out = vec![0.0; shape.rows.count(step.tokens.len(), step.outputs.len()) * shape.width];
            let inputs: Vec<&[f32]> = node.inputs.iter().map(|v| self.values[v.0 as usize].as_slice()).collect();
            let mut context = ReferenceContext {
                step,
                unit: shape.rows.unit,
                width: shape.width,
                input_widths: node.inputs.iter().map(|&v| self.graph.shape(v).width).collect(),
                block_tokens: self.options.cache.block_tokens,
                graph: &self.graph,
                weights: &self.weights,
                states: &mut self.states,
            };
            node.op.reference(&inputs, &mut out, &mut context);
            self.values[node.output.0 as usize] = out;
        }
        Ok(())
    }

    fn read(&self, value: ValueId) -> &[f32] {
        &self.values[value.0 as usize]
    }

    fn copy_block(&mut self, from: u32, to: u32) -> Result<(), DeviceError> {
        let blocks = self.options.cache.blocks;
        for (state, spec) in self.states.iter_mut().zip(self.graph.states()) {
            if !matches!(spec, StateSpec::KeyValue { .. }) {
                continue;
            }
            for buffer in [&mut state.first, &mut state.second] {
                let block = buffer.len() / blocks.max(1);
                let (from, to) = (from as usize * block, to as usize * block);
                if from.max(to) + block > buffer.len() {
                    return Err(DeviceError::OutOfRange { what: "block", found: from.max(to), limit: blocks });
                }
                buffer.copy_within(from..from + block, to);
            }
        }
        Ok(())
    }

    fn clear_slot(&mut self, slot: u32) -> Result<(), DeviceError> {
        for (state, spec) in self.states.iter_mut().zip(self.graph.states()) {
            if let StateSpec::Recurrent { elements } = spec
                && let Some(part) = state.first.get_mut(slot as usize * elements..(slot as usize + 1) * elements)
            {
                part.fill(0.0);
            }
        }
        Ok(())
    }
}
