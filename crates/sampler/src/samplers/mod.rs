//! The registry of samplers, in the order they run by default.
//!
//! To add one: write its file (a `Settings` group, the sampler, its `REGISTRATION`), and add its line to
//! [`for_each_sampler`]. Its parameters, its place in the default order and its name in `--samplers` follow from that.

pub mod chain_order;
pub mod draw;
pub mod dry;
pub(crate) mod greedy;
pub mod logit_bias;
pub mod min_p;
pub mod mirostat;
pub mod penalties;
pub mod temperature;
pub mod top_k;
pub mod top_n_sigma;
pub mod top_p;
pub mod typical_p;
pub mod xtc;

use std::fmt::Debug;

use crate::candidates::Candidates;
use crate::random::Random;
use crate::settings::SamplerSettings;

/// Hands the list of samplers to a macro: documentation of the settings group, then the module.
macro_rules! for_each_sampler {
    ($consumer:ident) => {
        $consumer! {
            /// Which samplers run, in which order.
            chain_order,
            /// Fixed additions to single tokens' logits.
            logit_bias,
            /// Repeat, frequency and presence penalties.
            penalties,
            /// DRY: against repeating sequences.
            dry,
            /// Top-n-sigma.
            top_n_sigma,
            /// Top-k.
            top_k,
            /// Locally typical sampling.
            typical_p,
            /// Top-p (nucleus).
            top_p,
            /// Min-p.
            min_p,
            /// XTC: exclude top choices.
            xtc,
            /// Temperature, fixed or dynamic.
            temperature,
            /// Mirostat 1 and 2.
            mirostat,
            /// The seeded draw.
            draw,
        }
    };
}
pub(crate) use for_each_sampler;

macro_rules! define_registry {
    ($($(#[doc = $doc:literal])+ $module:ident,)*) => {
        /// Every sampler; greedy has no settings of its own.
        pub(crate) const REGISTRY: &[Registration] = &[greedy::REGISTRATION, $($module::REGISTRATION,)*];
    };
}
for_each_sampler!(define_registry);

/// How a sampler enters the chain.
pub(crate) struct Registration {
    /// The name in `--samplers`, then its aliases.
    pub names: &'static [&'static str],
    pub role: Role,
}

/// What a sampler does in the chain.
pub(crate) enum Role {
    /// Runs before all others, wherever the order is changed to.
    First(Build),
    /// Changes logits or drops candidates; may drop the most likely one.
    Reweighs(Build),
    /// Drops or rescales candidates but never changes which is the most likely: nothing to do when that one is taken.
    KeepsBest(Build),
    /// Takes the token; the first in the registry that builds is used.
    Takes(BuildTaker),
    /// Only brings settings.
    Settings,
}

/// Makes the sampler, or nothing when its settings turn it off.
pub(crate) type Build = fn(&SamplerSettings, &dyn TokenText) -> Option<Box<dyn Sampler>>;
/// Makes the taker, or nothing when its settings turn it off.
pub(crate) type BuildTaker = fn(&SamplerSettings) -> Option<Box<dyn Taker>>;

/// A link of the chain: works on the candidates before the token is taken.
pub(crate) trait Sampler: Debug + Send + Sync {
    fn apply(&mut self, candidates: &mut Candidates, random: &mut Random);
    /// Notes a token that has entered the text.
    fn accept(&mut self, _token: u32) {}
    /// Forgets all tokens.
    fn reset(&mut self) {}
    fn boxed_clone(&self) -> Box<dyn Sampler>;
}

/// The end of the chain: takes one candidate.
pub(crate) trait Taker: Debug + Send + Sync {
    /// The position in `candidates.list()` of the taken one, with probabilities filled in; `None` if none is possible.
    fn take(&mut self, candidates: &mut Candidates, random: &mut Random) -> Option<usize>;
    /// Whether the sampler of this registration runs before this taker.
    fn follows(&self, _registration: &Registration) -> bool {
        true
    }
    /// Whether the taken token is always the one with the greatest logit.
    fn is_greedy(&self) -> bool {
        false
    }
    fn reset(&mut self) {}
    fn boxed_clone(&self) -> Box<dyn Taker>;
}

impl Clone for Box<dyn Sampler> {
    fn clone(&self) -> Self {
        self.as_ref().boxed_clone()
    }
}

impl Clone for Box<dyn Taker> {
    fn clone(&self) -> Self {
        self.as_ref().boxed_clone()
    }
}

/// What samplers may ask about the vocabulary; only DRY does, to find the tokens in which a sequence breaker stands.
pub trait TokenText {
    /// The number of tokens.
    fn token_count(&self) -> u32;
    /// Appends the bytes that `token` stands for.
    fn append_text(&self, token: u32, text: &mut Vec<u8>);
    /// The tokens of a piece of text, without special tokens.
    fn tokenize(&self, text: &str) -> Vec<u32>;
}

/// No vocabulary at hand: DRY then works without sequence breakers.
#[derive(Debug, Clone, Copy)]
pub struct NoTokenText;

impl TokenText for NoTokenText {
    fn token_count(&self) -> u32 {
        0
    }
    fn append_text(&self, _token: u32, _text: &mut Vec<u8>) {}
    fn tokenize(&self, _text: &str) -> Vec<u32> {
        Vec::new()
    }
}

#[cfg(test)]
pub(crate) mod check {
    //! One sampler against a case worked out by hand.

    use super::*;
    use crate::candidates::Candidate;

    /// Runs `sampler` on the logarithms of `probabilities`; compares with the shares that must remain, by token.
    pub(crate) fn check(
        sampler: Option<Box<dyn Sampler>>,
        accepted: &[u32],
        probabilities: &[f32],
        expected: &[(u32, f32)],
    ) {
        for listed in ["dense", "listed", "sorted"] {
            let logits: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
            let mut candidates = Candidates::default();
            candidates.load(&logits);
            match listed {
                "listed" => drop(candidates.list()),
                "sorted" => drop(candidates.sorted()),
                _ => {}
            }
            if let Some(mut sampler) = sampler.clone() {
                accepted.iter().for_each(|&token| sampler.accept(token));
                sampler.apply(&mut candidates, &mut Random::new(0));
            }
            candidates.normalise();
            let mut list: Vec<Candidate> = candidates.list().clone();
            list.sort_by_key(|candidate| candidate.token);
            list.retain(|candidate| candidate.probability > 1e-9);
            let found: Vec<(u32, f32)> = list.iter().map(|c| (c.token, c.probability)).collect();
            let close = found.len() == expected.len()
                && found.iter().zip(expected).all(|(f, e)| f.0 == e.0 && (f.1 - e.1).abs() < 1e-5);
            assert!(close, "{listed}, {sampler:?} on {probabilities:?}: expected {expected:?}, found {found:?}");
        }
    }

    /// Builds a sampler from settings given as text.
    pub(crate) fn build(build: Build, settings: &[(&str, &str)]) -> Option<Box<dyn Sampler>> {
        let mut all = SamplerSettings::default();
        settings.iter().for_each(|(name, value)| all.set(name, value).expect("valid settings"));
        build(&all, &NoTokenText)
    }
}
