//! A compiled graph: a list of work that all threads walk together.
//!
//! Invariant: between two barriers no work reads or writes what another one writes, but for rows that go through several
//! works together; the schedule set the barriers.

use std::ops::Range;
use std::sync::Arc;

use ascua_graph::null::check_step;
use ascua_graph::{
    CompileOptions, DeviceError, Graph, Place, Program, RowUnit, Rows, Run, StepInputs, TimeShare, ValueId,
};

use crate::memory::Buffer;
use crate::pool::{Sharing, ThreadPool, WorkCounters, Worker, Workers};
use crate::profile::{Profile, Watch};
use crate::work::attention::LayerCache;
use crate::work::rows::{ByRows, chained};

/// One kind of work on the values of a step.
pub(crate) trait Work: Send + Sync {
    /// Pieces of this step's work and how many of them a thread should take at a time.
    fn size(&self, context: &Context<'_>) -> Size;

    /// Does some pieces.
    ///
    /// # Safety
    /// The pieces are done once a step, after everything they read and before anything that overwrites it; `scratch`
    /// has the bytes the work asked for.
    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]);

    /// The work as work on rows, if it takes each by itself.
    fn by_rows(&self) -> Option<&ByRows> {
        None
    }
}

/// How work divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Pieces.
    pub pieces: usize,
    /// Pieces a thread takes at a time, at least.
    pub chunk: usize,
    pub sharing: Sharing,
}

impl Size {
    /// Pieces that threads take chunk by chunk.
    pub fn chunks(pieces: usize, chunk: usize) -> Size {
        Size { pieces, chunk, sharing: Sharing::Chunks }
    }

    /// Pieces of little work: some eight chunks for each thread.
    pub fn few_chunks(pieces: usize, threads: usize) -> Size {
        Size::chunks(pieces, (pieces / (8 * threads)).max(1))
    }
}

/// What work sees of a step.
pub(crate) struct Context<'a> {
    /// Tokens, positions, runs, wanted rows.
    pub step: &'a StepInputs<'a>,
    /// The wanted rows as runs.
    pub output_runs: &'a [Run<'a>],
    /// Values of the graph.
    pub arena: &'a Buffer,
    /// Prepared activations, tables and other shared scratch; one allocation with fixed places.
    pub shared: &'a Buffer,
    /// Caches by state.
    pub caches: &'a [LayerCache],
    /// Threads that work.
    pub threads: usize,
}

impl Context<'_> {
    /// Rows of a value in this step.
    pub fn rows(&self, place: &Place) -> usize {
        self.count(place.shape.rows)
    }

    /// How many rows these are in this step.
    pub fn count(&self, rows: Rows) -> usize {
        rows.count(self.step.tokens.len(), self.step.outputs.len())
    }

    /// The runs that the rows of a value belong to.
    pub fn runs(&self, place: &Place) -> &[Run<'_>] {
        match place.shape.rows.unit {
            RowUnit::Outputs => self.output_runs,
            RowUnit::Tokens | RowUnit::Step => self.step.runs,
        }
    }

    /// First element of a value.
    pub fn value(&self, place: &Place) -> *mut f32 {
        // SAFETY: the plan put the place inside the arena.
        unsafe { self.arena.start().cast::<f32>().add(place.offset) }
    }

    /// Columns of a row of a value.
    ///
    /// # Safety
    /// The row is one of this step's and nobody writes it meanwhile.
    pub unsafe fn row(&self, place: &Place, row: usize, columns: Range<usize>) -> &[f32] {
        // SAFETY: the plan reserved the row.
        unsafe { std::slice::from_raw_parts(self.value(place).add(row * place.stride + columns.start), columns.len()) }
    }

    /// As [`Context::row`], to write.
    ///
    /// # Safety
    /// The row is one of this step's and nobody else reads or writes these columns meanwhile.
    #[allow(clippy::mut_from_ref)] // the arena is shared; the caller vouches for the columns
    pub unsafe fn row_mut(&self, place: &Place, row: usize, columns: Range<usize>) -> &mut [f32] {
        // SAFETY: the plan reserved the row.
        unsafe {
            std::slice::from_raw_parts_mut(self.value(place).add(row * place.stride + columns.start), columns.len())
        }
    }

    /// A place in the shared scratch.
    pub fn shared(&self, offset: usize) -> *mut u8 {
        // SAFETY: the compiler laid the place out inside the buffer.
        unsafe { self.shared.start().add(offset) }
    }
}

/// Work and whether all threads meet before it.
pub(crate) struct Step {
    pub barrier: bool,
    /// Whether it may go through rows together with the step before; then there is no barrier.
    pub joins: bool,
    pub work: Box<dyn Work>,
    /// What it is, in a profile.
    pub label: String,
}

/// Who walks the list.
pub(crate) struct Threads {
    pub pool: Arc<ThreadPool>,
    pub workers: Workers,
}

pub(crate) struct CpuProgram {
    pub threads: Threads,
    pub graph: Graph,
    pub options: CompileOptions,
    pub places: Vec<Place>,
    pub steps: Vec<Step>,
    pub counters: WorkCounters,
    pub arena: Buffer,
    pub shared: Buffer,
    /// One part for each thread.
    pub scratch: Buffer,
    pub scratch_bytes: usize,
    pub caches: Vec<LayerCache>,
    /// Where the time goes, if somebody wants to know.
    pub profile: Option<Profile>,
    /// Outputs of the last step.
    pub outputs: usize,
    pub tokens: usize,
}

impl CpuProgram {
    /// A worker's part of some steps.
    fn one_by_one(&self, worker: &Worker<'_>, context: &Context<'_>, steps: Range<usize>, scratch: &mut [u8]) {
        for index in steps {
            let step = &self.steps[index];
            let watch = self.watch(worker);
            if step.barrier {
                worker.barrier();
            }
            let watch = watch.waited(index);
            let size = step.work.size(context);
            for pieces in worker.chunks(&self.counters[index], size.pieces, size.chunk, size.sharing) {
                // SAFETY: the counter hands out each piece once; barriers stand where work depends on work.
                unsafe { step.work.run(context, pieces, scratch) };
            }
            watch.worked(index);
        }
    }

    /// A worker's part of steps that `rows` go through, some `together`.
    fn row_by_row(
        &self,
        worker: &Worker<'_>,
        context: &Context<'_>,
        steps: Range<usize>,
        (rows, together): (usize, usize),
    ) {
        let first = steps.start;
        let watch = self.watch(worker);
        if self.steps[first].barrier {
            worker.barrier();
        }
        let mut watch = watch.waited(first);
        let pieces = rows.div_ceil(together);
        for piece in worker.chunks(&self.counters[first], pieces, 1, Sharing::Chunks).flatten() {
            let rows = piece * together..rows.min((piece + 1) * together);
            for index in steps.clone() {
                let ByRows { work, .. } =
                    self.steps[index].work.by_rows().expect("only work on rows joins or is joined");
                // SAFETY: as above; the schedule made sure that the rows of such steps do not meet.
                unsafe { work.rows(context, rows.clone()) };
                watch = watch.worked(index);
            }
        }
    }

    fn watch(&self, worker: &Worker<'_>) -> Watch<'_> {
        Watch::start(self.profile.as_ref().filter(|_| worker.index == 0))
    }
}

impl Program for CpuProgram {
    fn run(&mut self, step: &StepInputs<'_>) -> Result<(), DeviceError> {
        check_step(&self.graph, &self.options, step)?;
        (self.tokens, self.outputs) = (step.tokens.len(), step.outputs.len());
        self.counters.reset();
        let threads = self.threads.workers.for_tokens(step.tokens.len());
        let context = Context {
            step,
            output_runs: &step.output_runs(),
            arena: &self.arena,
            shared: &self.shared,
            caches: &self.caches,
            threads,
        };
        self.threads.pool.run_on(threads, &|worker| {
            // SAFETY: each worker has its own part of the scratch.
            let scratch = unsafe {
                let start = self.scratch.start().add(worker.index * self.scratch_bytes);
                std::slice::from_raw_parts_mut(start, self.scratch_bytes)
            };
            let mut steps = 0..0;
            for group in self.steps.chunk_by(|_, next| next.joins) {
                steps = steps.end..steps.end + group.len();
                match chained(group, &context) {
                    Some(rows) => self.row_by_row(&worker, &context, steps.clone(), rows),
                    None => self.one_by_one(&worker, &context, steps.clone(), scratch),
                }
            }
        });
        Ok(())
    }

    fn read(&self, value: ValueId) -> &[f32] {
        let place = &self.places[value.0 as usize];
        let rows = place.shape.rows.count(self.tokens, self.outputs);
        // SAFETY: outputs live to the end of the plan and are dense; no step runs while `self` is borrowed.
        unsafe {
            let start = self.arena.start().cast::<f32>().add(place.offset);
            std::slice::from_raw_parts(start, rows * place.shape.width)
        }
    }

    fn start_profile(&mut self) {
        self.profile = Some(Profile::new(self.steps.len()));
    }

    fn profile(&self) -> Vec<TimeShare> {
        self.profile.as_ref().map_or_else(Vec::new, |profile| profile.shares(&self.steps))
    }

    fn copy_block(&mut self, from: u32, to: u32) -> Result<(), DeviceError> {
        let limit = self.options.cache.blocks;
        for block in [from, to] {
            if block as usize >= limit {
                return Err(DeviceError::OutOfRange { what: "block", found: block as usize, limit });
            }
        }
        self.caches.iter_mut().for_each(|cache| cache.copy_block(from as usize, to as usize));
        Ok(())
    }

    fn clear_slot(&mut self, _slot: u32) -> Result<(), DeviceError> {
        Ok(()) // no recurrent state yet: the compiler refuses graphs that have one
    }
}
