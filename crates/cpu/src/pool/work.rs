//! Shares the pieces of one step between the workers: mostly fixed unless sharing is free, the rest to whoever is ahead.
//!
//! Fixed shares keep each worker on one contiguous run of pieces; the dynamic rest evens out processors of different
//! speed. Which worker does a piece never changes its result.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Line;

/// Part of the chunks with a fixed owner, in quarters.
const FIXED_QUARTERS: usize = 3;

/// How many chunks without an owner workers have taken in one step.
#[derive(Debug, Default)]
pub struct WorkCounter(Line<AtomicUsize>);

/// In how long ranges workers take their shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Chunk by chunk.
    Chunks,
    /// Chunk by chunk without fixed shares, which would be uneven: for chunks of unlike lengths.
    Free,
    /// As long as keeps the workers even: the fixed share in one range, the rest in ever shorter ones, of a chunk at
    /// least. For work whose start is slow, as that of memory streams is.
    Runs,
}

impl WorkCounter {
    /// Makes the counter ready for another use. No worker may be taking chunks from it.
    #[inline]
    pub fn reset(&self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}

/// One counter for each step of a program, so that no barrier is needed to reuse one.
#[derive(Debug, Default)]
pub struct WorkCounters(Box<[WorkCounter]>);

impl WorkCounters {
    /// Counters for `steps` steps.
    pub fn new(steps: usize) -> WorkCounters {
        WorkCounters((0..steps).map(|_| WorkCounter::default()).collect())
    }

    /// Makes all counters ready; call it before [`super::ThreadPool::run`], which publishes it to the workers.
    pub fn reset(&self) {
        self.0.iter().for_each(WorkCounter::reset);
    }
}

impl std::ops::Deref for WorkCounters {
    type Target = [WorkCounter];

    fn deref(&self) -> &[WorkCounter] {
        &self.0
    }
}

/// The ranges of one worker's share; see [`super::Worker::chunks`].
#[derive(Debug)]
pub struct Chunks<'counter> {
    counter: &'counter WorkCounter,
    sharing: Sharing,
    threads: usize,
    total: usize,
    chunk: usize,
    /// Chunks with a fixed owner that this worker has still to do.
    fixed: Range<usize>,
    /// First chunk without an owner, and the number of all chunks.
    free: Range<usize>,
}

impl<'counter> Chunks<'counter> {
    #[inline]
    pub(super) fn new(
        counter: &'counter WorkCounter,
        [index, threads]: [usize; 2],
        total: usize,
        chunk: usize,
        sharing: Sharing,
    ) -> Chunks<'counter> {
        let chunk = chunk.max(1);
        let chunks = total.div_ceil(chunk);
        let each = match (threads, sharing) {
            (1, _) => chunks,
            (_, Sharing::Free) => 0,
            _ => (chunks * FIXED_QUARTERS / 4) / threads,
        };
        let (fixed, free) = (index * each..(index + 1) * each, threads * each..chunks);
        Chunks { counter, sharing, threads, total, chunk, fixed, free }
    }

    /// The next chunks with a fixed owner.
    fn take_fixed(&mut self) -> Range<usize> {
        let count = match self.sharing {
            Sharing::Chunks | Sharing::Free => 1,
            Sharing::Runs => self.fixed.len(),
        };
        let first = self.fixed.start;
        self.fixed.start += count;
        first..first + count
    }

    /// The next chunks without an owner; empty when there are no more.
    fn take_free(&mut self) -> Range<usize> {
        // Orders nothing: the data is published by the barriers before and after the step.
        let (counter, order) = (&self.counter.0.0, Ordering::Relaxed);
        let taken = match self.sharing {
            Sharing::Chunks | Sharing::Free => {
                let taken = counter.fetch_add(1, order);
                taken..taken + 1
            }
            Sharing::Runs => {
                let end = |taken: usize| taken + (self.free.len().saturating_sub(taken) / (2 * self.threads)).max(1);
                let mut taken = counter.load(order);
                while let Err(now) = counter.compare_exchange_weak(taken, end(taken), order, order) {
                    taken = now;
                }
                taken..end(taken)
            }
        };
        let first = (self.free.start + taken.start).min(self.free.end);
        first..(first + taken.len()).min(self.free.end)
    }
}

impl Iterator for Chunks<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        if self.fixed.is_empty() && self.free.is_empty() {
            return None;
        }
        let chunks = if self.fixed.is_empty() { self.take_free() } else { self.take_fixed() };
        if chunks.is_empty() {
            self.free.start = self.free.end;
            return None;
        }
        Some(chunks.start * self.chunk..(chunks.end * self.chunk).min(self.total))
    }
}
