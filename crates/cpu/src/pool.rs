//! The thread pool: a fixed set of workers that walk the steps of a program together.
//!
//! Flow: the device compiles a segment into a list of steps; [`ThreadPool::run`] gives every worker the same closure, which
//! walks the list, takes its share of each step from a [`WorkCounter`] and meets the others at [`Worker::barrier`].
//! The calling thread is worker 0, so a pool of one thread spawns nothing.
//!
//! Invariants: `run` returns only after every worker has left the job, so the job may borrow from the caller's stack. A
//! panic in one worker releases all the others from their barriers and is raised again in the caller. A waiting worker
//! spins only as long as spinning has paid lately, then sleeps: on an over-subscribed machine the pool slows down in
//! proportion. During a job subnormal numbers count as zero in every worker (they are 3–4 times slower otherwise).

mod available;
mod gate;
mod placement;
mod subnormals;
mod work;
mod workers;

pub use available::available_threads;
pub use placement::{Placement, PlacementError};
pub use work::{Chunks, Sharing, WorkCounter, WorkCounters};
pub use workers::Workers;

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use gate::{Gate, Patience};
use subnormals::FlushSubnormals;

/// A job as the workers see it; the lifetime is erased while [`ThreadPool::run`] is on the stack.
type Job = *const (dyn Fn(Worker<'_>) + Sync);

/// A fixed set of threads that run one job at a time, all of them together.
#[derive(Debug)]
pub struct ThreadPool {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
    /// Held for the length of a run: one job at a time.
    running: Mutex<Patience>,
}

/// One thread's view of a running job: who it is, and where it meets the others.
#[derive(Debug)]
pub struct Worker<'pool> {
    /// Number of this worker, below `threads`; the caller of [`ThreadPool::run`] is worker 0.
    pub index: usize,
    /// Number of workers in the job.
    pub threads: usize,
    shared: &'pool Shared,
    patience: &'pool Cell<Patience>,
}

/// What all threads of a pool share; each contended word has its own pair of cache lines.
struct Shared {
    /// Another one than any other pool's.
    id: usize,
    threads: usize,
    placement: Placement,
    /// Workers that take part in the current job: the first so many.
    active: AtomicUsize,
    /// Rises by one for each job; workers wait for it to change.
    epoch: Gate,
    /// Workers other than the caller that are still inside the job; the caller waits for zero.
    pending: Gate,
    /// Rises by one each time all workers have met.
    meeting: Gate,
    arrived: Line<AtomicUsize>,
    /// A worker of the current job has panicked: nobody may wait for it.
    poisoned: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    closing: AtomicBool,
    job: UnsafeCell<Option<Job>>,
}

/// Keeps its content away from other data: adjacent-line prefetch works on pairs of 64-byte lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Line<T>(pub(crate) T);

// SAFETY: `job` is written only by the caller of `run`, which holds `running`, before the epoch rises (release) and after
// `pending` fell to zero (acquire); workers read it only between the two. The pointee is `Sync`. The rest is `Sync` by itself.
unsafe impl Sync for Shared {}
// SAFETY: as above; the raw pointer is not tied to a thread.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Payload of the unwinding that frees a worker from a barrier which can no longer fill.
struct BarrierPoisoned;

/// Number of the next pool.
static POOLS: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    /// The pool whose job this thread is inside: a nested run of the same pool would wait for itself.
    static INSIDE: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
    /// The pool whose placement this thread, as a caller, was bound to last.
    static BOUND: Cell<usize> = const { Cell::new(0) };
}

impl ThreadPool {
    /// Starts `threads - 1` workers (at least none): the thread that calls [`ThreadPool::run`] is the missing one.
    pub fn new(threads: usize) -> io::Result<ThreadPool> {
        ThreadPool::placed(threads, Placement::default())
    }

    /// As [`ThreadPool::new`], with workers bound to processors. The thread that calls [`ThreadPool::run`] is bound, too,
    /// from its first call on.
    pub fn placed(threads: usize, placement: Placement) -> io::Result<ThreadPool> {
        let threads = threads.max(1);
        let processors = placement.processors().map_or(usize::MAX, |own| own.len()).min(available::processors());
        let shared = Arc::new(Shared {
            id: POOLS.fetch_add(1, Ordering::Relaxed),
            threads,
            placement,
            active: AtomicUsize::new(threads),
            epoch: Gate::default(),
            pending: Gate::default(),
            meeting: Gate::default(),
            arrived: Line::default(),
            poisoned: AtomicBool::new(false),
            panic: Mutex::new(None),
            closing: AtomicBool::new(false),
            job: UnsafeCell::new(None),
        });
        // More threads than processors: the one we wait for may need our processor, so never spin.
        let patience = if threads <= processors { Patience::spinning() } else { Patience::sleeping() };
        let mut pool = ThreadPool {
            shared: Arc::clone(&shared),
            handles: Vec::with_capacity(threads - 1),
            running: Mutex::new(patience),
        };
        for index in 1..threads {
            let shared = Arc::clone(&shared);
            let worker = std::thread::Builder::new().name(format!("ascua-worker-{index}"));
            // On failure `pool` is dropped, which ends the workers started so far.
            pool.handles.push(worker.spawn(move || serve(&shared, index, patience))?);
        }
        Ok(pool)
    }

    /// Number of workers, the caller included.
    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// Runs `job` once on every worker and returns when all have finished.
    ///
    /// # Panics
    /// As [`ThreadPool::run_on`].
    pub fn run(&self, job: &(dyn Fn(Worker<'_>) + Sync)) {
        self.run_on(self.threads(), job);
    }

    /// Runs `job` once on each of the first `workers` (at least one, at most all) and returns when all have finished.
    ///
    /// Concurrent calls wait for each other. All workers must pass the same number of barriers.
    ///
    /// # Panics
    /// If the job panicked in a worker (with that worker's payload, after all have stopped), or if called from inside a job of
    /// this same pool.
    pub fn run_on(&self, workers: usize, job: &(dyn Fn(Worker<'_>) + Sync)) {
        let shared = &*self.shared;
        assert!(INSIDE.get() != shared, "a job must not run another job on its own pool");
        let mut patience = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let outer = INSIDE.replace(shared);
        if BOUND.replace(shared.id) != shared.id {
            shared.placement.bind(0);
        }
        let workers = workers.clamp(1, shared.threads);
        shared.active.store(workers, Ordering::Relaxed);
        if workers > 1 {
            // SAFETY: only the lifetime is erased; this function does not return before every worker has left the job.
            let erased = unsafe { std::mem::transmute::<&(dyn Fn(Worker<'_>) + Sync), Job>(job) };
            // SAFETY: `running` is held and no worker is inside a job, so nobody else touches the cell.
            unsafe { *shared.job.get() = Some(erased) };
            // Those without a part report as well, or a late one might take the next job for this one.
            shared.pending.value().store(shared.threads as u32 - 1, Ordering::Relaxed);
            shared.epoch.advance();
        }
        shared.perform(job, 0, &mut patience);
        shared.pending.wait(&mut patience, |pending| pending == 0);
        INSIDE.set(outer);
        if shared.poisoned.load(Ordering::Acquire) {
            shared.arrived.0.store(0, Ordering::Relaxed);
            shared.poisoned.store(false, Ordering::Relaxed);
            let payload = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(patience);
            if let Some(payload) = payload {
                resume_unwind(payload);
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.epoch.advance();
        for handle in self.handles.drain(..) {
            // A worker catches the panics of its jobs, so it ends normally.
            let _ = handle.join();
        }
    }
}

/// Life of a spawned worker: wait for the next job, perform it, report.
fn serve(shared: &Shared, index: usize, mut patience: Patience) {
    shared.placement.bind(index);
    let mut seen = 0;
    loop {
        seen = shared.epoch.wait(&mut patience, |epoch| epoch != seen);
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the epoch rose, so `run` has written the job and waits for this worker before it touches the cell again.
        let job = unsafe { *shared.job.get() }.filter(|_| index < shared.active.load(Ordering::Relaxed));
        if let Some(job) = job {
            // SAFETY: `run` keeps the job alive until `pending` is zero, and this worker has not reported yet.
            let job = unsafe { &*job };
            let outer = INSIDE.replace(shared);
            shared.perform(job, index, &mut patience);
            INSIDE.set(outer);
        }
        shared.pending.count_down();
    }
}

impl Shared {
    /// One worker's part of a job; a panic is recorded and frees everyone who waits for this worker.
    fn perform(&self, job: &(dyn Fn(Worker<'_>) + Sync), index: usize, patience: &mut Patience) {
        let _flush = FlushSubnormals::new();
        let kept = Cell::new(*patience);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let threads = self.active.load(Ordering::Relaxed);
            job(Worker { index, threads, shared: self, patience: &kept });
        }));
        *patience = kept.get();
        if let Err(payload) = outcome {
            if !payload.is::<BarrierPoisoned>() {
                let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(payload);
            }
            self.poisoned.store(true, Ordering::SeqCst);
            self.meeting.advance();
        }
    }
}

impl Worker<'_> {
    /// Waits until every worker of the job has called this; writes made before are visible to all afterwards.
    #[inline]
    pub fn barrier(&self) {
        if self.threads > 1 {
            self.meet();
        }
    }

    fn meet(&self) {
        let shared = self.shared;
        // The order matters: a meeting cannot end before this worker has arrived, so `seen` is of this meeting.
        let seen = shared.meeting.value().load(Ordering::Acquire);
        if shared.poisoned.load(Ordering::SeqCst) {
            resume_unwind(Box::new(BarrierPoisoned));
        }
        if shared.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            shared.arrived.0.store(0, Ordering::Relaxed);
            shared.meeting.advance();
            return;
        }
        let mut patience = self.patience.get();
        shared.meeting.wait(&mut patience, |meeting| meeting != seen);
        self.patience.set(patience);
        if shared.poisoned.load(Ordering::SeqCst) {
            resume_unwind(Box::new(BarrierPoisoned));
        }
    }

    /// This worker's share of `0..total`, in ranges of `chunk`, or of several (the last may be shorter).
    ///
    /// About three quarters are fixed per worker, next to each other, or with [`Sharing::Free`] none; the rest goes to
    /// whoever is ahead. All workers must use the same counter, total, chunk and way of sharing, and the counter must have
    /// been reset since it was last used.
    #[inline]
    pub fn chunks<'counter>(
        &self,
        counter: &'counter WorkCounter,
        total: usize,
        chunk: usize,
        sharing: Sharing,
    ) -> Chunks<'counter> {
        Chunks::new(counter, [self.index, self.threads], total, chunk, sharing)
    }
}

/// Number type of the gates.
pub(crate) type GateValue = AtomicU32;

#[cfg(test)]
mod tests;
