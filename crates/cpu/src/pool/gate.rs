//! A number that threads wait on: first spinning, then asleep.
//!
//! Every wait of the pool (for a job, for the others at a barrier, for the end) is a wait on a [`Gate`]. Invariant: a
//! change made through [`Gate::advance`] or [`Gate::count_down`] wakes every sleeper whose condition it makes true.

use std::hint::spin_loop;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{GateValue, Line};

/// Longest time a waiting thread spins. A wake-up from sleep costs about 5 to 50 µs.
const LONGEST_SPIN: Duration = Duration::from_micros(50);
/// Shortest, where spinning is useful at all.
const SHORTEST_SPIN: Duration = Duration::from_micros(2);
/// A wait that lasted less than this, wake-up included, would have been better spent spinning.
const WORTH_SPINNING: Duration = Duration::from_micros(100);

/// How long a thread spins before it sleeps; learns from how long the last waits were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    spin: Duration,
}

impl Patience {
    /// For a thread that has a processor to itself, as far as known.
    pub(super) fn spinning() -> Patience {
        Patience { spin: LONGEST_SPIN }
    }

    /// For a thread that shares its processor with the threads it waits for.
    pub(super) fn sleeping() -> Patience {
        Patience { spin: Duration::ZERO }
    }

    fn learn(&mut self, waited: Duration) {
        if self.spin.is_zero() {
            return;
        }
        self.spin = if waited < WORTH_SPINNING {
            (self.spin * 2).min(LONGEST_SPIN)
        } else {
            (self.spin / 2).max(SHORTEST_SPIN)
        };
    }
}

/// A number that can be waited on.
#[derive(Debug, Default)]
pub(super) struct Gate {
    value: Line<GateValue>,
    sleepers: Line<GateValue>,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Gate {
    /// The bare number, for reads and for writes that nobody can be waiting for.
    #[inline]
    pub(super) fn value(&self) -> &GateValue {
        &self.value.0
    }

    /// Adds one and wakes the sleepers.
    #[inline]
    pub(super) fn advance(&self) {
        self.value.0.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Takes one away and, at zero, wakes the sleepers.
    #[inline]
    pub(super) fn count_down(&self) {
        if self.value.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.wake();
        }
    }

    /// A sleeper first counts itself, then looks at the value; here it is the other way round. With both sequentially
    /// consistent, either it sees the new value or this sees it.
    #[inline]
    fn wake(&self) {
        if self.sleepers.0.load(Ordering::SeqCst) > 0 {
            // Taken so that a sleeper between its look and its wait cannot miss the signal.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.changed.notify_all();
        }
    }

    /// Waits until `open` holds for the value, which it returns.
    #[inline]
    pub(super) fn wait(&self, patience: &mut Patience, open: impl Fn(u32) -> bool) -> u32 {
        // The other side is often only a few hundred cycles behind: look before asking for the time.
        let looks = if patience.spin.is_zero() { 1 } else { 32 };
        for _ in 0..looks {
            let value = self.value.0.load(Ordering::Acquire);
            if open(value) {
                return value;
            }
            spin_loop();
        }
        self.wait_long(patience, open)
    }

    #[cold]
    fn wait_long(&self, patience: &mut Patience, open: impl Fn(u32) -> bool) -> u32 {
        let start = Instant::now();
        while start.elapsed() < patience.spin {
            for _ in 0..16 {
                let value = self.value.0.load(Ordering::Acquire);
                if open(value) {
                    patience.learn(Duration::ZERO);
                    return value;
                }
                spin_loop();
            }
        }
        let value = self.sleep(open);
        patience.learn(start.elapsed());
        value
    }

    fn sleep(&self, open: impl Fn(u32) -> bool) -> u32 {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.0.fetch_add(1, Ordering::SeqCst);
        let value = loop {
            let value = self.value.0.load(Ordering::SeqCst);
            if open(value) {
                break value;
            }
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.0.fetch_sub(1, Ordering::SeqCst);
        value
    }
}
