//! What the machine can do at most: bytes read from memory and 8-bit dot products, per second.
//!
//! The speed of generation is a share of the first, that of prompts a share of the second. Both are measured with loops that
//! do nothing else, as the best of several tries: neighbours on the machine only ever take something away.

mod dot;
mod read;

use std::io;
use std::time::Instant;

use crate::isa::Isa;
use crate::pool::{ThreadPool, Worker};

pub use read::ReadPattern;

/// Tries of each measurement.
const TRIES: usize = 5;

/// Bytes per second that `threads` threads read from memory, each from its own part of a buffer far larger than caches.
///
/// # Errors
/// Threads cannot be started.
pub fn read_bandwidth(isa: Isa, threads: usize, pattern: ReadPattern) -> io::Result<f64> {
    let pool = ThreadPool::new(threads)?;
    let buffer = read::buffer(pool.threads());
    let words = buffer.len() / pool.threads();
    let best = best_seconds(&pool, &|worker| {
        read::run(isa, &buffer[worker.index * words..][..words], pattern);
    });
    Ok((words * pool.threads() * size_of::<u64>()) as f64 / best)
}

/// Operations (two for each product of two bytes) per second of `threads` threads that only compute dot products.
///
/// # Errors
/// Threads cannot be started.
pub fn dot_peak(isa: Isa, threads: usize) -> io::Result<f64> {
    let pool = ThreadPool::new(threads)?;
    let best = best_seconds(&pool, &|_| dot::run(isa));
    Ok((dot::operations(isa) * pool.threads()) as f64 / best)
}

/// Seconds from the moment all workers are there to the end of the last one, at best.
fn best_seconds(pool: &ThreadPool, work: &(dyn Fn(&Worker<'_>) + Sync)) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let seconds = std::sync::Mutex::new(0.0);
        pool.run(&|worker| {
            worker.barrier();
            let started = Instant::now();
            work(&worker);
            worker.barrier();
            if worker.index == 0 {
                *seconds.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = started.elapsed().as_secs_f64();
            }
        });
        best = best.min(seconds.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_measures_a_dot_peak() {
        for isa in Isa::available() {
            let peak = dot_peak(isa, 1).expect("one thread");
            // From a slow machine running checked code to several times the fastest core there is.
            assert!((1e6..1e13).contains(&peak), "{isa}: {peak}");
        }
    }

    #[test]
    fn every_level_reads_all_of_its_part() {
        let words: Vec<u64> = (0..4 * 8 * 5 + 3).map(|n| 1 << (n % 64)).collect();
        let sum = words.iter().fold(0, |sum, word| sum ^ word);
        for isa in Isa::available() {
            for &pattern in ReadPattern::ALL {
                assert_eq!(read::run(isa, &words, pattern), sum, "{isa}, {pattern:?}");
            }
        }
    }
}
