//! TOKENS: from logits to the next token: the sampler chain.
//!
//! The flow: [`SamplerSettings`] (one declaration per parameter, see [`PARAMETERS`]) → [`SamplerChain::new`] → for every
//! token [`SamplerChain::sample`] on the logits of the last position, then [`SamplerChain::accept`] with the token that
//! was really taken (prompt tokens are accepted too, so that repetition counts them).
//!
//! The set, the order and the defaults are those of llama.cpp: penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p,
//! XTC, temperature, then the draw; or mirostat in place of the truncating samplers. One sampler is one file in
//! `samplers/` and one line in its registry.
//!
//! Invariant: the same settings, seed, logits and accepted tokens give the same token, with any number of threads; no
//! logits, however broken, cause a panic.

mod candidates;
mod chain;
mod parameter;
mod random;
mod samplers;
mod settings;

pub use candidates::{Candidate, most_likely};
pub use chain::{SampleError, Sampled, SamplerChain};
pub use parameter::{Parameter, ParameterKind, Range, SettingError};
pub use samplers::chain_order::SamplerOrder;
pub use samplers::dry::SequenceBreakers;
pub use samplers::logit_bias::LogitBiases;
pub use samplers::{NoTokenText, TokenText};
pub use samplers::{
    chain_order, draw, dry, logit_bias, min_p, mirostat, penalties, temperature, top_k, top_n_sigma, top_p, typical_p,
    xtc,
};
pub use settings::{PARAMETERS, SamplerSettings};
