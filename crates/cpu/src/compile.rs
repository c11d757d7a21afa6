//! From a graph to a list of work: chooses kernels, lays out shared scratch, tells the schedule what is read and written.

use std::ops::Range;
use std::sync::Arc;

use ascua_gguf::TensorData;
use ascua_graph::null::memory_plan;
use ascua_graph::ops::{ExpertMatMul, GateActivation, MatMul, OpDef};
use ascua_graph::{
    ALIGNMENT, CachedValues, CompileOptions, DeviceError, Graph, MemoryPlan, Node, Op, Place, Plan, RopeParameters,
    StateSpec, WeightId, WeightSource,
};

use crate::attention::{AttentionKernel, AttentionSpec, ValueSource};
use crate::elementwise::{Activation, Elementwise};
use crate::isa::Isa;
use crate::matmul::{ActivationLayout, MatmulKernel};
use crate::memory::Buffer;
use crate::pool::WorkCounters;
use crate::program::{CpuProgram, Threads, Work};
use crate::rope::RopeKernel;
use crate::schedule::{Access, Resource, Schedule};
use crate::work::attention::{AttendWork, LayerCache, StoreWork};
use crate::work::elementwise::{ElementwiseWork, Function};
use crate::work::embedding::EmbeddingWork;
use crate::work::experts::{
    CombineWork, ExpertMatMulWork, ExpertPrepareWork, ExpertTables, RouteWork, SortWork, prepared_limit,
};
use crate::work::matmul::{MatMulWork, PrepareWork};
use crate::work::norm::RmsNormWork;
use crate::work::rope::{RopeTableWork, RopeWork};
use crate::work::rows::RowWork;
use crate::work::select::SelectWork;
use crate::work::square_sums::{ExpertSquareSumsWork, SquareSumsWork};

/// What bringing activations to a product's layout is called in a profile.
const PREPARING: &str = "activations";

/// What a compilation depends on besides the graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub isa: Isa,
    pub threads: usize,
    pub options: CompileOptions,
}

/// Bytes the program will take.
pub(crate) fn plan(graph: &Graph, settings: &Settings) -> Result<MemoryPlan, DeviceError> {
    let compiler = Compiler::new(graph, settings, None)?.record()?;
    let plan = memory_plan(graph, &settings.options);
    let own = compiler.shared.size + settings.threads * compiler.scratch_bytes;
    Ok(MemoryPlan { scratch: plan.scratch + own as u64, ..plan })
}

/// Takes all memory and makes the program.
pub(crate) fn compile(
    graph: &Graph,
    weights: Vec<WeightSource>,
    settings: &Settings,
    threads: Threads,
) -> Result<CpuProgram, DeviceError> {
    weights.iter().try_for_each(WeightSource::check)?;
    let compiler = Compiler::new(graph, settings, Some(&weights))?.record()?;
    let caches = compiler.caches()?;
    let scratch_bytes = compiler.scratch_bytes;
    let steps = compiler.schedule.finish();
    Ok(CpuProgram {
        counters: WorkCounters::new(steps.len()),
        places: (0..graph.value_count()).map(|v| compiler.plan.place(ascua_graph::ValueId(v as u32))).collect(),
        arena: Buffer::new("activations", compiler.plan.arena_bytes())?,
        shared: Buffer::new("scratch", compiler.shared.size)?,
        scratch: Buffer::new("scratch of the threads", scratch_bytes * settings.threads)?,
        scratch_bytes,
        steps,
        caches,
        graph: graph.clone(),
        options: settings.options,
        threads,
        profile: None,
        outputs: 0,
        tokens: 0,
    })
}

/// Places in the shared scratch; nothing is given back.
#[derive(Default)]
struct Shared {
    size: usize,
}

impl Shared {
    fn take(&mut self, bytes: usize) -> Range<usize> {
        let start = self.size;
        self.size = (start + bytes).next_multiple_of(ALIGNMENT);
        start..start + bytes
    }
}

/// Prepared activations and what they were made from.
#[derive(Clone, Debug, PartialEq)]
struct Prepared {
    input: Place,
    layout: ActivationLayout,
    tables: Option<usize>,
}

/// One of the places for prepared activations.
struct PreparedPlace {
    place: Range<usize>,
    holds: Option<Prepared>,
    used: usize,
}

/// Places for prepared activations: two, so that a change of layout need not wait.
const PREPARED_PLACES: usize = 2;

struct Compiler<'a> {
    graph: &'a Graph,
    settings: &'a Settings,
    weights: Option<&'a [WeightSource]>,
    kernels: Elementwise,
    plan: Plan,
    schedule: Schedule,
    shared: Shared,
    prepared: Vec<PreparedPlace>,
    tables: Vec<(RopeParameters, Range<usize>)>,
    expert_tables: Vec<(Place, ExpertTables)>,
    /// Place of attention's partial results; zeroed at start and used by nothing else.
    partial: Option<Range<usize>>,
    scratch_bytes: usize,
    time: usize,
    /// What the work of the current node is, in a profile.
    label: String,
}

impl<'a> Compiler<'a> {
    fn new(
        graph: &'a Graph,
        settings: &'a Settings,
        weights: Option<&'a [WeightSource]>,
    ) -> Result<Compiler<'a>, DeviceError> {
        let kernels = Elementwise::new(settings.isa).map_err(|e| Self::unsupported("elementwise", e))?;
        Ok(Compiler {
            kernels,
            graph,
            settings,
            weights,
            plan: Plan::new(graph, settings.options.limits),
            schedule: Schedule::default(),
            shared: Shared::default(),
            prepared: Vec::new(),
            tables: Vec::new(),
            expert_tables: Vec::new(),
            partial: None,
            scratch_bytes: ALIGNMENT,
            time: 0,
            label: String::new(),
        })
    }

    fn record(mut self) -> Result<Compiler<'a>, DeviceError> {
        self.reserve()?;
        for node in self.graph.nodes() {
            self.node(node)?;
        }
        Ok(self)
    }

    /// Sizes the places for prepared activations by the largest product.
    fn reserve(&mut self) -> Result<(), DeviceError> {
        let mut largest = 0;
        let limits = self.settings.options.limits;
        for node in self.graph.nodes() {
            let bytes = match &node.op {
                Op::MatMul(op) => {
                    let rows = self.graph.shape(node.output).rows.count(limits.tokens, limits.outputs);
                    self.kernel(op.weight)?.activation().bytes(rows)
                }
                Op::ExpertMatMul(op) => {
                    let rows = self.graph.shape(node.output).rows.count(limits.tokens, limits.outputs);
                    let experts = self.graph.weight_spec(op.weight).matrices();
                    prepared_limit(&self.kernel(op.weight)?.activation(), rows, experts)
                }
                _ => 0,
            };
            largest = largest.max(bytes);
        }
        for _ in 0..PREPARED_PLACES {
            let place = self.shared.take(largest);
            self.prepared.push(PreparedPlace { place, holds: None, used: 0 });
        }
        Ok(())
    }

    fn unsupported(operation: &str, reason: impl std::fmt::Display) -> DeviceError {
        DeviceError::Unsupported { device: "CPU".into(), operation: operation.to_owned(), reason: reason.to_string() }
    }

    fn kernel(&self, weight: WeightId) -> Result<MatmulKernel, DeviceError> {
        let spec = self.graph.weight_spec(weight);
        let precision = self.settings.options.precision;
        MatmulKernel::new(spec.tensor_type, spec.rows(), spec.columns(), precision, self.settings.isa)
            .map_err(|e| Self::unsupported("matmul", format!("`{}`: {e}", spec.name)))
    }

    /// The bytes of a weight; none while only planning.
    fn data(&self, weight: WeightId) -> TensorData {
        self.weights.map_or_else(|| TensorData::from(Vec::new()), |weights| weights[weight.0 as usize].data.clone())
    }

    /// A small weight as numbers; zeros while only planning.
    fn floats(&self, weight: WeightId) -> Result<Vec<f32>, DeviceError> {
        match self.weights {
            Some(weights) => weights[weight.0 as usize].decode(),
            None => Ok(vec![0.0; self.graph.weight_spec(weight).elements()]),
        }
    }

    fn arena(&self, place: &Place) -> Resource {
        let limits = self.settings.options.limits;
        let rows = place.shape.rows.count(limits.tokens, limits.outputs).max(1);
        let (width, stride) = (place.shape.width, place.stride);
        Resource::Arena { elements: place.offset..place.offset + (rows - 1) * stride + width, stride, width }
    }

    /// Adds work.
    fn push(&mut self, work: impl Work + 'static, reads: Vec<Resource>, writes: Vec<Resource>) {
        self.forget(&writes);
        self.schedule.push(Box::new(work), Access { reads, writes }, &self.label);
    }

    /// Adds work that takes each row by itself, of which there are as many as `of` has.
    fn push_rows(&mut self, work: impl RowWork + 'static, of: &Place, reads: Vec<Resource>, writes: Vec<Resource>) {
        self.forget(&writes);
        self.schedule.push_rows(Box::new(work), of.shape.rows, Access { reads, writes }, &self.label);
    }

    /// What is overwritten in the arena is no longer what was prepared from it.
    fn forget(&mut self, writes: &[Resource]) {
        for prepared in &mut self.prepared {
            if let Some(holds) = &prepared.holds {
                let start = holds.input.offset;
                let source = Resource::Arena { elements: start..start + 1, stride: 1, width: 1 };
                if writes.iter().any(|w| w.overlaps(&source)) {
                    prepared.holds = None;
                }
            }
        }
    }

    /// Adds what brings activations to the layout of the product that follows: no part of that in a profile.
    fn preparing(&mut self, push: impl FnOnce(&mut Self)) {
        let label = std::mem::replace(&mut self.label, PREPARING.to_owned());
        push(self);
        self.label = label;
    }

    /// What a node is in a profile: products with the type and shape of their weights.
    fn label_of(&self, node: &Node) -> String {
        let name = node.op.name();
        match &node.op {
            Op::MatMul(MatMul { weight, .. }) | Op::ExpertMatMul(ExpertMatMul { weight, .. }) => {
                let spec = self.graph.weight_spec(*weight);
                format!("{name} {} {} × {}", spec.tensor_type, spec.rows(), spec.columns())
            }
            _ => name.to_owned(),
        }
    }

    fn node(&mut self, node: &Node) -> Result<(), DeviceError> {
        self.label = self.label_of(node);
        let out = self.plan.place(node.output);
        let inputs: Vec<Place> = node.inputs.iter().map(|&v| self.plan.place(v)).collect();
        let reads: Vec<Resource> = inputs.iter().map(|place| self.arena(place)).collect();
        let writes = vec![self.arena(&out)];
        match &node.op {
            Op::Embedding(op) => {
                let tensor_type = self.graph.weight_spec(op.weight).tensor_type;
                self.push(EmbeddingWork { table: self.data(op.weight), tensor_type, out }, reads, writes);
            }
            Op::RmsNorm(op) => {
                let weight = op.weight.map(|w| self.floats(w)).transpose()?;
                let work = RmsNormWork {
                    kernels: self.kernels,
                    weight,
                    epsilon: op.epsilon,
                    groups: op.groups,
                    input: inputs[0],
                    out,
                };
                self.push_rows(work, &out, reads, writes);
            }
            Op::MatMul(op) => self.matmul(op, inputs[0], out)?,
            Op::Add(_) => self.elementwise(Function::Add { b: inputs[1] }, inputs[0], out, reads),
            Op::Scale(op) => self.elementwise(Function::Scale { factor: op.factor }, inputs[0], out, reads),
            Op::Softcap(op) => self.elementwise(Function::Softcap { limit: op.limit }, inputs[0], out, reads),
            Op::Slice(_) => {} // a view: the plan already placed it inside its input
            Op::Gate(op) => {
                let activation = match op.activation {
                    GateActivation::Silu => Activation::Silu,
                    GateActivation::Gelu => Activation::Gelu,
                    GateActivation::Relu => Activation::Relu,
                };
                self.elementwise(Function::Gate { activation, up: inputs[1] }, inputs[0], out, reads);
            }
            Op::GateRows(_) => self.elementwise(Function::GateRows { gate: inputs[1] }, inputs[0], out, reads),
            Op::Rope(op) => self.rope(op, inputs[0], out)?,
            Op::Attention(op) => self.attention(op, &inputs, out)?,
            Op::Route(op) => {
                self.scratch_bytes = self.scratch_bytes.max((op.experts + 1) * size_of::<f32>());
                self.push(RouteWork { route: op.clone(), logits: inputs[0], out }, reads, writes);
                self.sort(op, out);
            }
            Op::ExpertMatMul(op) => self.expert_matmul(op, inputs[0], inputs[1], out)?,
            Op::ExpertCombine(_) => self.push(CombineWork { input: inputs[0], route: inputs[1], out }, reads, writes),
            Op::SquareSums(_) => self.push(SquareSumsWork { input: inputs[0], out }, reads, writes),
            Op::ExpertSquareSums(op) => {
                let (tables, sorted) = self.tables_of(inputs[1], op.name())?;
                let work = ExpertSquareSumsWork { tables, input: inputs[0], out };
                self.push(work, vec![reads[0].clone(), sorted], writes);
            }
            Op::SelectOutputs(_) => self.push(SelectWork { input: inputs[0], out }, reads, writes),
            op @ (Op::ShortConvolution(_) | Op::SelectiveScan(_)) => {
                return Err(Self::unsupported(op.name(), "no kernel"));
            }
        }
        Ok(())
    }

    /// Makes sure a value stands prepared in a layout; gives the place.
    fn prepare(&mut self, wanted: Prepared) -> (Range<usize>, bool) {
        self.time += 1;
        if let Some(place) = self.prepared.iter_mut().find(|p| p.holds.as_ref() == Some(&wanted)) {
            place.used = self.time;
            return (place.place.clone(), false);
        }
        let oldest = self.prepared.iter_mut().min_by_key(|p| p.used).expect("there is at least one place");
        oldest.used = self.time;
        oldest.holds = Some(wanted);
        (oldest.place.clone(), true)
    }

    fn matmul(&mut self, op: &ascua_graph::ops::MatMul, input: Place, out: Place) -> Result<(), DeviceError> {
        let kernel = self.kernel(op.weight)?;
        self.scratch_bytes = self.scratch_bytes.max(kernel.scratch_bytes());
        let layout = kernel.activation();
        let (place, fresh) = self.prepare(Prepared { input, layout, tables: None });
        if fresh {
            let work = PrepareWork { layout, input, prepared: place.start };
            let (reads, writes) = (vec![self.arena(&input)], vec![Resource::Shared(place.clone())]);
            self.preparing(|compiler| compiler.push_rows(work, &input, reads, writes));
        }
        let scale = op.scale.map(|s| self.floats(s)).transpose()?.map_or(1.0, |s| s[0]);
        let (factor, bias_factor) = op.factors(scale);
        let bias = op.bias.map(|b| self.floats(b)).transpose()?;
        let work = MatMulWork {
            kernel,
            weight: self.data(op.weight),
            rows: self.graph.weight_spec(op.weight).rows(),
            prepared: place.start,
            out,
            factor,
            bias: bias.map(|bias| bias.into_iter().map(|b| b * bias_factor).collect()),
        };
        self.push(work, vec![Resource::Shared(place)], vec![self.arena(&out)]);
        Ok(())
    }

    fn rope(&mut self, op: &ascua_graph::ops::Rope, input: Place, out: Place) -> Result<(), DeviceError> {
        let known = self.tables.iter().find(|(parameters, _)| *parameters == op.parameters);
        let table = match known {
            Some((_, table)) => table.clone(),
            None => {
                let bytes = RopeTableWork::bytes(&op.parameters, self.settings.options.limits.tokens);
                let table = self.shared.take(bytes);
                self.tables.push((op.parameters.clone(), table.clone()));
                let work = RopeTableWork { parameters: op.parameters.clone(), table: table.start };
                self.push(work, vec![], vec![Resource::Shared(table.clone())]);
                table
            }
        };
        let rotary_size = op.parameters.rotary_size;
        let head_size = out.shape.width / op.heads;
        let kernel = RopeKernel::new(op.parameters.style, op.heads, head_size, rotary_size / 2, self.settings.isa)
            .map_err(|e| Self::unsupported(op.name(), e))?;
        let reads = vec![self.arena(&input), Resource::Shared(table.clone())];
        let work = RopeWork { kernel, rotary_size, table: table.start, input, out };
        self.push_rows(work, &out, reads, vec![self.arena(&out)]);
        Ok(())
    }

    fn elementwise(&mut self, function: Function, a: Place, out: Place, reads: Vec<Resource>) {
        let work = ElementwiseWork { kernels: self.kernels, function, a, out };
        self.push_rows(work, &out, reads, vec![self.arena(&out)]);
    }

    fn attention(&mut self, op: &ascua_graph::ops::Attention, inputs: &[Place], out: Place) -> Result<(), DeviceError> {
        let kernel = Arc::new(self.attention_kernel(op)?);
        self.scratch_bytes = self.scratch_bytes.max(kernel.scratch_bytes());
        let partial = match &self.partial {
            Some(place) if place.len() >= kernel.shared_bytes() => place.clone(),
            _ => self.shared.take(kernel.shared_bytes()),
        };
        self.partial = Some(partial.clone());
        let stored = Resource::Cache(op.state.0);
        let cache = op.state.0 as usize;
        let (query, key) = (inputs[0], inputs[1]);
        let value = inputs.get(2).copied().unwrap_or(key);
        let store = StoreWork { kernel: Arc::clone(&kernel), cache, key, value };
        self.push_rows(store, &key, vec![self.arena(&key), self.arena(&value)], vec![stored.clone()]);
        let attend = AttendWork { kernel, cache, query, out, partial: partial.start };
        let writes = vec![self.arena(&out), Resource::Shared(partial)];
        self.push(attend, vec![stored, self.arena(&query)], writes);
        Ok(())
    }

    fn attention_kernel(&self, op: &ascua_graph::ops::Attention) -> Result<AttentionKernel, DeviceError> {
        let StateSpec::KeyValue { kv_heads, key_size, values, window } = self.graph.states()[op.state.0 as usize]
        else {
            return Err(Self::unsupported(op.name(), "its state is not a key-value cache"));
        };
        let cache = &self.settings.options.cache;
        let spec = AttentionSpec {
            heads: op.heads,
            kv_heads,
            key_size,
            value_size: values.size(),
            scale: op.scale,
            window,
            softcap: op.softcap,
            alibi_max_bias: op.alibi_max_bias,
            sinks: None,
            block_tokens: cache.block_tokens,
            key_type: cache.key_type,
            values: match values {
                CachedValues::Own { .. } => ValueSource::Cache(cache.value_type),
                CachedValues::KeyPrefix { .. } => ValueSource::KeyPrefix,
            },
        };
        let precision = self.settings.options.precision;
        AttentionKernel::new(spec, precision, self.settings.isa).map_err(|e| Self::unsupported(op.name(), e))
    }

    /// Takes the memory of every cache.
    fn caches(&self) -> Result<Vec<LayerCache>, DeviceError> {
        let blocks = self.settings.options.cache.blocks;
        let attentions = self.graph.nodes().iter().filter_map(|node| match &node.op {
            Op::Attention(op) => Some(op),
            _ => None,
        });
        let mut caches: Vec<Option<LayerCache>> = self.graph.states().iter().map(|_| None).collect();
        for op in attentions {
            let kernel = self.attention_kernel(op)?;
            let buffer = Buffer::new("key-value cache", LayerCache::bytes(&kernel, blocks))?;
            caches[op.state.0 as usize] = Some(LayerCache::new(&kernel, blocks, buffer));
        }
        let unused = || Self::unsupported("state", "no operation uses it");
        caches.into_iter().map(|cache| cache.ok_or_else(unused)).collect()
    }

    fn sort(&mut self, op: &ascua_graph::ops::Route, route: Place) {
        let limits = self.settings.options.limits;
        let rows = route.shape.rows.count(limits.tokens, limits.outputs) * op.used;
        let place = self.shared.take(ExpertTables::bytes(op.experts, rows));
        let tables = ExpertTables { experts: op.experts, used: op.used, offset: place.start, rows };
        self.expert_tables.push((route, tables));
        self.push(SortWork { tables, route }, vec![self.arena(&route)], vec![Resource::Shared(place)]);
    }

    /// The sorted rows of a routing, and where they lie.
    fn tables_of(&self, route: Place, operation: &str) -> Result<(ExpertTables, Resource), DeviceError> {
        let tables = self.expert_tables.iter().rev().find(|(place, _)| *place == route).map(|(_, tables)| *tables);
        let tables = tables.ok_or_else(|| Self::unsupported(operation, "its second input is not a routing"))?;
        let sorted = Resource::Shared(tables.offset..tables.offset + ExpertTables::bytes(tables.experts, tables.rows));
        Ok((tables, sorted))
    }

    fn expert_matmul(
        &mut self,
        op: &ascua_graph::ops::ExpertMatMul,
        input: Place,
        route: Place,
        out: Place,
    ) -> Result<(), DeviceError> {
        let (tables, sorted) = self.tables_of(route, op.name())?;
        let kernel = self.kernel(op.weight)?;
        self.scratch_bytes = self.scratch_bytes.max(kernel.scratch_bytes());
        let layout = kernel.activation();
        let (place, fresh) = self.prepare(Prepared { input, layout, tables: Some(tables.offset) });
        if fresh {
            let work = ExpertPrepareWork { layout, tables, input, prepared: place.start };
            let reads = vec![self.arena(&input), sorted.clone()];
            let writes = vec![Resource::Shared(place.clone())];
            self.preparing(|compiler| compiler.push(work, reads, writes));
        }
        let spec = self.graph.weight_spec(op.weight);
        let work = ExpertMatMulWork {
            kernel,
            layout,
            weight: self.data(op.weight),
            matrix_bytes: spec.bytes() / spec.matrices(),
            rows: spec.rows(),
            scale: op.scale.map(|s| self.floats(s)).transpose()?,
            tables,
            prepared: place.start,
            out,
        };
        self.push(work, vec![Resource::Shared(place), sorted], vec![self.arena(&out)]);
        Ok(())
    }
}
