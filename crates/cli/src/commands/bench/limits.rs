//! `--roofline`: what this machine can do at most, measured for each number of threads that is benchmarked.

use std::collections::BTreeMap;

use ascua::roofline::{ReadPattern, dot_peak, read_bandwidth};
use ascua::{Isa, ModelOptions};

/// The limits for each number of threads.
pub struct Limits {
    isa: Isa,
    of_threads: BTreeMap<usize, Limit>,
}

/// The limits of some threads together.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Bytes read from memory in a second, one place at a time.
    plain: f64,
    /// Bytes read from memory in a second, at best.
    pub bandwidth: f64,
    /// How that was reached.
    pattern: ReadPattern,
    /// Operations of 8-bit dot products in a second.
    pub dot: f64,
}

impl Limits {
    /// Measures for the threads of all `settings`; about a second for each number of them.
    pub fn measure(isa: Option<Isa>, settings: &[ModelOptions]) -> anyhow::Result<Limits> {
        let isa = isa.unwrap_or_else(Isa::detect);
        let mut of_threads = BTreeMap::new();
        let all = settings.iter().map(ModelOptions::workers).flat_map(|workers| [workers.generation, workers.prompt]);
        for threads in std::iter::once(1).chain(all) {
            if of_threads.contains_key(&threads) {
                continue;
            }
            let plain = read_bandwidth(isa, threads, ReadPattern::PLAIN)?;
            let (mut bandwidth, mut pattern) = (plain, ReadPattern::PLAIN);
            for &tried in ReadPattern::ALL {
                let found = read_bandwidth(isa, threads, tried)?;
                if found > bandwidth {
                    (bandwidth, pattern) = (found, tried);
                }
            }
            of_threads.insert(threads, Limit { plain, bandwidth, pattern, dot: dot_peak(isa, threads)? });
        }
        Ok(Limits { isa, of_threads })
    }

    /// The limits of so many threads.
    pub fn of(&self, threads: usize) -> Option<Limit> {
        self.of_threads.get(&threads).copied()
    }

    /// One line for each number of threads.
    pub fn lines(&self) -> Vec<String> {
        let line = |(threads, limit): (&usize, &Limit)| {
            let name = if *threads == 1 { "thread" } else { "threads" };
            let ReadPattern { streams, ahead } = limit.pattern;
            format!(
                "{threads} {name}: memory {:.1} GB/s (streams {streams}, prefetch {ahead} B ahead; a plain loop {:.1}), \
                 {:.0} GOPS of 8-bit dot products ({})",
                limit.bandwidth / 1e9,
                limit.plain / 1e9,
                limit.dot / 1e9,
                self.isa
            )
        };
        self.of_threads.iter().map(line).collect()
    }
}
