//! Mirostat 1 and 2: keep the surprise of the text near a target by feedback (Basu et al. 2020, arXiv:2007.14966).
//!
//! They take the place of the truncating samplers: only logit bias and temperature run before them, as in llama.cpp.

use crate::candidates::{Candidate, Candidates};
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::draw::draw;
use crate::samplers::{Registration, Role, Taker, temperature};

parameters! {
    /// Mirostat.
    pub struct Settings {
        /// Mirostat version, 1 or 2, in place of the truncating samplers; 0 is off.
        version: i32 = 0, "mirostat", Range::between(0.0, 2.0);
        /// The surprise to aim at, in bits per token (tau).
        target: f32 = 5.0, "mirostat-ent" | "mirostat-tau", Range::at_least(0.0);
        /// How fast the limit follows the observed surprise (eta).
        learning_rate: f32 = 0.1, "mirostat-lr" | "mirostat-eta", Range::at_least(0.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &[],
    role: Role::Takes(|settings| {
        let settings = &settings.mirostat;
        let limit = 2.0 * settings.target;
        (settings.version != 0).then(|| Box::new(Mirostat { settings: settings.clone(), limit }) as Box<dyn Taker>)
    }),
};

/// How many of the most likely tokens version 1 fits its Zipf exponent to (m in the paper).
const FITTED_TOKENS: usize = 100;

#[derive(Debug, Clone)]
struct Mirostat {
    settings: Settings,
    /// The greatest surprise that a candidate may have, in bits (mu in the paper).
    limit: f32,
}

impl Taker for Mirostat {
    fn take(&mut self, candidates: &mut Candidates, random: &mut Random) -> Option<usize> {
        candidates.sorted();
        let vocabulary = candidates.vocabulary_size();
        let list = candidates.normalise();
        let kept = if self.settings.version == 1 {
            zipf_count(list, vocabulary, self.limit)
        } else {
            list.iter().take_while(|candidate| -candidate.probability.log2() <= self.limit).count()
        };
        candidates.keep_top(kept.max(1));
        let list = candidates.normalise();
        let index = draw(list, random)?;
        let surprise = -list[index].probability.log2();
        self.limit -= self.settings.learning_rate * (surprise - self.settings.target);
        Some(index)
    }

    fn follows(&self, registration: &Registration) -> bool {
        match registration.role {
            Role::First(_) => true,
            _ => registration.names == temperature::REGISTRATION.names,
        }
    }

    fn reset(&mut self) {
        self.limit = 2.0 * self.settings.target;
    }

    fn boxed_clone(&self) -> Box<dyn Taker> {
        Box::new(self.clone())
    }
}

/// How many candidates keep the surprise at `limit`, if probabilities follow Zipf's law with the exponent of the first.
fn zipf_count(sorted: &[Candidate], vocabulary: usize, limit: f32) -> usize {
    let (mut product, mut square) = (0.0_f32, 0.0_f32);
    for (rank, pair) in (1_u16..).zip(sorted.windows(2)).take(FITTED_TOKENS - 1) {
        let [higher, lower] = pair else { break };
        if lower.probability <= 0.0 {
            break;
        }
        let step = (f32::from(rank + 1) / f32::from(rank)).ln();
        product += step * (higher.probability / lower.probability).ln();
        square += step * step;
    }
    let exponent = product / square;
    let excess = exponent - 1.0;
    let count = (excess * limit.exp2() / (1.0 - (vocabulary as f32).powf(-excess))).powf(1.0 / exponent);
    // One candidate gives no exponent: NaN becomes 0, and infinities saturate.
    count as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SamplerSettings;

    fn build(version: &str, target: &str) -> Box<dyn Taker> {
        let mut settings = SamplerSettings::default();
        settings.set("mirostat", version).unwrap();
        settings.set("mirostat-tau", target).unwrap();
        let Role::Takes(make) = REGISTRATION.role else { panic!("role") };
        make(&settings).unwrap()
    }

    #[test]
    fn version_two_drops_what_surprises_too_much() {
        // The limit starts at 2 · 0.9 = 1.8 bits: 0.4 (1.32 bits) and 0.3 (1.74) pass, 0.2 (2.32) does not.
        let logits = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
        let mut candidates = Candidates::default();
        candidates.load(&logits);
        build("2", "0.9").take(&mut candidates, &mut Random::new(0)).unwrap();
        let tokens: Vec<u32> = candidates.list().iter().map(|candidate| candidate.token).collect();
        assert_eq!(tokens, [1, 3]);
        candidates.load(&logits);
        assert_eq!(build("2", "0").take(&mut candidates, &mut Random::new(0)), Some(0));
        assert_eq!(candidates.list().len(), 1);
    }

    #[test]
    fn zipf_distribution_is_cut_at_the_published_count() {
        // An exact Zipf law of exponent 2 over 1000 tokens: k = (1 · 2^limit / (1 − 1/1000))^½.
        let list: Vec<Candidate> = (1..=1000_u32)
            .map(|rank| Candidate { token: rank, logit: 0.0, probability: 0.6 / (rank * rank) as f32 })
            .collect();
        for (limit, count) in [(4.0, 4), (6.0, 8), (8.0, 16), (10.0, 32)] {
            assert_eq!(zipf_count(&list, 1000, limit), count, "limit {limit}");
        }
        assert_eq!(zipf_count(&list[..1], 1000, 5.0), 0);
    }

    #[test]
    fn surprise_settles_at_the_target() {
        let mut random = Random::new(11);
        // A Zipf-like vocabulary of 500 tokens whose entropy is above the target.
        let logits: Vec<f32> = (1..=500_u16).map(|rank| -f32::from(rank).ln()).collect();
        for version in ["1", "2"] {
            let mut mirostat = build(version, "3");
            let mut candidates = Candidates::default();
            let mut total = 0.0;
            for _ in 0..2000 {
                candidates.load(&logits);
                let index = mirostat.take(&mut candidates, &mut random).unwrap();
                total += -candidates.list()[index].probability.log2();
            }
            let mean = total / 2000.0;
            assert!((mean - 3.0).abs() < 0.1, "mirostat {version}: mean surprise {mean} bits");
        }
    }
}
