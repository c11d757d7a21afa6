//! How many workers a device has for which steps, and where they run.

use super::available::threads_among;
use super::{Placement, available_threads};

/// The workers of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Threads for steps of one token; at least 1.
    pub generation: usize,
    /// Threads for steps of more tokens, prompts above all; at least 1.
    pub prompt: usize,
    /// Where they run.
    pub placement: Placement,
}

impl Workers {
    /// Numbers somebody chose, or what suits the placement: one thread for each physical core. The prompt's default is
    /// the generation's.
    pub fn new(generation: Option<usize>, prompt: Option<usize>, placement: Placement) -> Workers {
        let suitable = || placement.processors().map_or_else(available_threads, |own| threads_among(&own));
        let generation = generation.unwrap_or_else(suitable).max(1);
        Workers { generation, prompt: prompt.unwrap_or(generation).max(1), placement }
    }

    /// Threads to start.
    pub fn most(&self) -> usize {
        self.generation.max(self.prompt)
    }

    /// Threads for a step of so many tokens.
    pub fn for_tokens(&self, tokens: usize) -> usize {
        if tokens == 1 { self.generation } else { self.prompt }
    }
}

impl From<usize> for Workers {
    /// The same number for all steps, anywhere.
    fn from(threads: usize) -> Workers {
        Workers::new(Some(threads), None, Placement::default())
    }
}
