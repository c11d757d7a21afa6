//! [`SamplerChain`]: the samplers that the settings ask for, in order, and the taker at their end.
//!
//! A chain belongs to one sequence: it carries the generator, and the recent tokens that penalties look at. When nothing
//! stands between the logits and a greedy choice, the choice is made on the logits themselves.

use crate::candidates::{Candidate, Candidates, first_greatest};
use crate::parameter::{SettingError, same_name};
use crate::random::{Random, fresh_seed};
use crate::samplers::{REGISTRY, Registration, Role, Sampler, Taker, TokenText};
use crate::settings::SamplerSettings;

/// Why no token could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// There were no logits.
    #[error("no token can be sampled: there are no logits")]
    NoLogits,
    /// Every logit was NaN or −∞ in the first place, or after the logit biases.
    #[error("no token can be sampled: none of the {logits} logits is above minus infinity")]
    NothingPossible {
        /// The number of logits.
        logits: usize,
    },
}

/// A sampled token and what it was sampled from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled<'chain> {
    /// The token that was taken, with its probability among the candidates.
    pub taken: Candidate,
    /// All candidates that were left at the end of the chain, most likely first.
    pub candidates: &'chain [Candidate],
}

/// A chain of samplers with its state.
#[derive(Debug, Clone)]
pub struct SamplerChain {
    samplers: Vec<Box<dyn Sampler>>,
    taker: Box<dyn Taker>,
    candidates: Candidates,
    random: Random,
    seed: u64,
}

impl SamplerChain {
    /// Builds the chain; fails if a setting is out of its range.
    ///
    /// The vocabulary is asked for texts of tokens only when DRY is on; [`NoTokenText`](crate::NoTokenText) will do
    /// where there is none.
    pub fn new(settings: &SamplerSettings, vocabulary: &dyn TokenText) -> Result<Self, SettingError> {
        settings.validate()?;
        // The draw, last in the registry, always builds.
        let taker = REGISTRY.iter().find_map(|registration| match registration.role {
            Role::Takes(build) => build(settings),
            _ => None,
        });
        let taker = taker.expect("the registry ends with a taker that has no off switch");
        let first = REGISTRY.iter().filter(|registration| matches!(registration.role, Role::First(_)));
        let named = |name: &&str| REGISTRY.iter().find(|r| r.names.first().is_some_and(|known| same_name(known, name)));
        let ordered = settings.chain_order.order.names().iter().filter_map(named);
        let build = |registration: &Registration| match registration.role {
            Role::First(build) | Role::Reweighs(build) | Role::KeepsBest(build) => build(settings, vocabulary),
            Role::Takes(_) | Role::Settings => None,
        };
        let samplers =
            first.chain(ordered).filter(|registration| taker.follows(registration)).filter_map(build).collect();
        let seed = u64::try_from(settings.draw.seed).unwrap_or_else(|_| fresh_seed());
        Ok(Self { samplers, taker, candidates: Candidates::default(), random: Random::new(seed), seed })
    }

    /// The seed in use; where the settings asked for a new one, this is the one that gives the same text again.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Chooses a token by one row of logits. Its state changes as by a draw; [`SamplerChain::accept`] does the rest.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, SampleError> {
        if self.samplers.is_empty() && self.taker.is_greedy() && !logits.is_empty() {
            return first_greatest(logits).ok_or(SampleError::NothingPossible { logits: logits.len() });
        }
        self.take(logits).map(|candidate| candidate.token)
    }

    /// Chooses a token as [`SamplerChain::sample`] does, and shows the candidates it was chosen from, likeliest first.
    pub fn sample_with_candidates(&mut self, logits: &[f32]) -> Result<Sampled<'_>, SampleError> {
        let taken = self.take(logits)?;
        Ok(Sampled { taken, candidates: self.candidates.sorted() })
    }

    /// Notes a token of the text: those of the prompt as well as each one sampled.
    pub fn accept(&mut self, token: u32) {
        self.samplers.iter_mut().for_each(|sampler| sampler.accept(token));
    }

    /// Returns to the state after [`SamplerChain::new`]: no text, and the generator at its seed.
    pub fn reset(&mut self) {
        self.samplers.iter_mut().for_each(|sampler| sampler.reset());
        self.taker.reset();
        self.random = Random::new(self.seed);
    }

    fn take(&mut self, logits: &[f32]) -> Result<Candidate, SampleError> {
        if logits.is_empty() {
            return Err(SampleError::NoLogits);
        }
        self.candidates.load(logits);
        for sampler in &mut self.samplers {
            sampler.apply(&mut self.candidates, &mut self.random);
        }
        let index = self.taker.take(&mut self.candidates, &mut self.random);
        let taken = index.and_then(|index| self.candidates.list().get(index).copied());
        taken.ok_or(SampleError::NothingPossible { logits: logits.len() })
    }
}
