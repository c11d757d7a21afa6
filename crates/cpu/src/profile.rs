//! Where the time of a program's steps goes, as its first worker sees it.
//!
//! Off until somebody asks. Then worker 0 reads the clock before it waits, before it works and after: three reads for
//! each piece of the list, some 0.1 µs, of work that takes microseconds at least; where rows go through several works
//! together, one for each work and few rows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ascua_graph::TimeShare;

use crate::program::Step;

/// Takes the times of one worker, if they are wanted.
pub(crate) struct Watch<'a>(Option<(&'a Profile, Instant)>);

impl<'a> Watch<'a> {
    pub fn start(profile: Option<&'a Profile>) -> Watch<'a> {
        Watch(profile.map(|profile| (profile, Instant::now())))
    }

    /// From the last look at the watch to now step `index` waited for others.
    pub fn waited(self, index: usize) -> Watch<'a> {
        self.add(|profile| &profile.steps[index].waiting)
    }

    /// From the last look at the watch to now step `index` worked.
    pub fn worked(self, index: usize) -> Watch<'a> {
        self.add(|profile| &profile.steps[index].working)
    }

    fn add(self, to: impl FnOnce(&Profile) -> &AtomicU64) -> Watch<'a> {
        Watch(self.0.map(|(profile, before)| {
            let now = Instant::now();
            let nanoseconds = u64::try_from((now - before).as_nanos()).unwrap_or(u64::MAX);
            to(profile).fetch_add(nanoseconds, Ordering::Relaxed);
            (profile, now)
        }))
    }
}

/// Times by step of the list.
#[derive(Default)]
pub(crate) struct Profile {
    steps: Vec<Times>,
}

/// Nanoseconds; only worker 0 adds to them.
#[derive(Default)]
struct Times {
    waiting: AtomicU64,
    working: AtomicU64,
}

impl Profile {
    pub fn new(steps: usize) -> Profile {
        Profile { steps: std::iter::repeat_with(Times::default).take(steps).collect() }
    }

    /// The sums by label, the longest first; what was spent waiting has its own.
    pub fn shares(&self, steps: &[Step]) -> Vec<TimeShare> {
        let mut shares: Vec<TimeShare> = Vec::new();
        let mut add = |label: &str, time: &AtomicU64| {
            let time = Duration::from_nanos(time.load(Ordering::Relaxed));
            match shares.iter_mut().find(|share| share.label == label) {
                Some(share) => share.time += time,
                None => shares.push(TimeShare { label: label.to_owned(), time }),
            }
        };
        for (step, times) in steps.iter().zip(&self.steps) {
            add(&step.label, &times.working);
            add("waiting for other threads", &times.waiting);
        }
        shares.sort_by_key(|share| std::cmp::Reverse(share.time));
        shares
    }
}
