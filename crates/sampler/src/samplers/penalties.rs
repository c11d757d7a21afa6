//! Repeat, frequency and presence penalties on the tokens of the recent text.
//!
//! The repeat penalty is that of CTRL (Keskar et al. 2019, arXiv:1909.05858), multiplying where a logit is negative so
//! that it always makes a token less likely; frequency and presence are OpenAI's.

use std::collections::{HashMap, VecDeque};

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Penalties on tokens that have been used.
    pub struct Settings {
        /// How many of the last tokens the penalties count; 0 turns them off, -1 counts all.
        last_n: i32 = 64, "repeat-last-n" | "penalty-last-n", Range::at_least(-1.0);
        /// Divides the positive logits of used tokens and multiplies the negative ones; 1 is off.
        repeat: f32 = 1.0, "repeat-penalty", Range::between(0.001, 1000.0);
        /// Subtracted from a used token's logit for each time it was used; 0 is off.
        frequency: f32 = 0.0, "frequency-penalty", Range::ANY;
        /// Subtracted from a used token's logit once; 0 is off.
        presence: f32 = 0.0, "presence-penalty", Range::ANY;
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["penalties"],
    role: Role::Reweighs(|settings, _| {
        let settings = &settings.penalties;
        let off = settings.repeat == 1.0 && settings.frequency == 0.0 && settings.presence == 0.0;
        (!off && settings.last_n != 0).then(|| {
            Box::new(Penalties { settings: settings.clone(), last: VecDeque::new(), counts: HashMap::new() }) as _
        })
    }),
};

#[derive(Debug, Clone)]
struct Penalties {
    settings: Settings,
    /// The counted tokens, oldest first; stays empty when all tokens count, for none is ever forgotten then.
    last: VecDeque<u32>,
    counts: HashMap<u32, u32>,
}

impl Sampler for Penalties {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        let Settings { repeat, frequency, presence, .. } = self.settings;
        candidates.adjust(&self.counts, |logit, &count| {
            if logit == f32::NEG_INFINITY {
                return logit;
            }
            let repeated = if logit <= 0.0 { logit * repeat } else { logit / repeat };
            // Bounded: a penalty makes a token unlikely, not impossible.
            (repeated - (count as f32 * frequency + presence)).max(f32::MIN)
        });
    }

    fn accept(&mut self, token: u32) {
        *self.counts.entry(token).or_insert(0) += 1;
        let Ok(limit) = usize::try_from(self.settings.last_n) else { return };
        self.last.push_back(token);
        while self.last.len() > limit {
            let Some(old) = self.last.pop_front() else { return };
            if let Some(count) = self.counts.get_mut(&old) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&old);
                }
            }
        }
    }

    fn reset(&mut self) {
        self.last.clear();
        self.counts.clear();
    }

    fn boxed_clone(&self) -> Box<dyn Sampler> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::check::{build, check};

    #[test]
    fn used_tokens_become_less_likely() {
        let Role::Reweighs(make) = REGISTRATION.role else { panic!("not reweighing") };
        let even = [0.2; 5];
        // 0.2⁵⁰ is nothing beside 0.2.
        let repeat = || build(make, &[("repeat-penalty", "50")]);
        check(repeat(), &[0], &even, &[(1, 0.25), (2, 0.25), (3, 0.25), (4, 0.25)]);
        check(repeat(), &[0, 1, 2, 0, 0], &even, &[(3, 0.5), (4, 0.5)]);
        // One use costs e⁻¹⁰, three cost e⁻²⁰.
        let both = || build(make, &[("frequency-penalty", "5"), ("presence-penalty", "5")]);
        let used = 0.2 * (-10.0_f32).exp();
        let rest = 0.2 / (0.8 + used);
        check(both(), &[0], &even, &[(0, used / (0.8 + used)), (1, rest), (2, rest), (3, rest), (4, rest)]);
        check(both(), &[0, 1, 2], &even, &[(0, 2.27e-5), (1, 2.27e-5), (2, 2.27e-5), (3, 0.499966), (4, 0.499966)]);
        // Tokens outside of the vocabulary do no harm.
        check(both(), &[7, u32::MAX], &even, &[(0, 0.2), (1, 0.2), (2, 0.2), (3, 0.2), (4, 0.2)]);
        for off in [&[][..], &[("repeat-penalty", "2"), ("repeat-last-n", "0")]] {
            assert!(build(make, off).is_none());
        }
    }

    #[test]
    fn only_the_last_tokens_count() {
        let Role::Reweighs(make) = REGISTRATION.role else { panic!("not reweighing") };
        let even = [0.5; 2];
        let history = [0, 1, 1, 1];
        for (last_n, first_is_used) in [("3", false), ("4", true), ("-1", true)] {
            // One use of token 0 against three of token 1: with presence alone both weigh the same.
            let presence = build(make, &[("presence-penalty", "50"), ("repeat-last-n", last_n)]);
            check(presence, &history, &even, if first_is_used { &[(0, 0.5), (1, 0.5)] } else { &[(0, 1.0)] });
        }
    }

    #[test]
    fn reset_forgets() {
        let Role::Reweighs(make) = REGISTRATION.role else { panic!("not reweighing") };
        let mut sampler = build(make, &[("presence-penalty", "50")]).unwrap();
        sampler.accept(0);
        sampler.reset();
        check(Some(sampler), &[], &[0.5, 0.5], &[(0, 0.5), (1, 0.5)]);
    }
}
