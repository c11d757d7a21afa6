//! Shares the pieces of one step between the workers: mostly fixed, the rest to whoever is ahead.
//!
//! Fixed shares keep each worker on one contiguous run of rows (long memory streams); the dynamic rest evens out
//! processors of different speed. Which worker does a piece never changes its result.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Line;

/// Part of the chunks with a fixed owner, in quarters.
const FIXED_QUARTERS: usize = 3;

/// The next free chunk of one step.
#[derive(Debug, Default)]
pub struct WorkCounter(Line<AtomicUsize>);

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
        index: usize,
        threads: usize,
        total: usize,
        chunk: usize,
    ) -> Chunks<'counter> {
        let chunk = chunk.max(1);
        let chunks = total.div_ceil(chunk);
        let each = match threads {
            1 => chunks,
            _ => (chunks * FIXED_QUARTERS / 4) / threads,
        };
        Chunks { counter, total, chunk, fixed: index * each..(index + 1) * each, free: threads * each..chunks }
    }
}

impl Iterator for Chunks<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let number = match self.fixed.next() {
            Some(number) => number,
            None if self.free.is_empty() => return None,
            // Orders nothing: the data is published by the barriers before and after the step.
            None => self.free.start + self.counter.0.0.fetch_add(1, Ordering::Relaxed),
        };
        if number >= self.free.end {
            self.free.start = self.free.end;
            return None;
        }
        let start = number * self.chunk;
        Some(start..(start + self.chunk).min(self.total))
    }
}
