//! XTC, "exclude top choices": by chance, drops all but the last of the candidates that pass a threshold
//! (p-e-w, text-generation-webui pull request 6335).

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// XTC.
    pub struct Settings {
        /// Chance, for each token, that the most likely choices are dropped; 0 is off.
        probability: f32 = 0.0, "xtc-probability", Range::between(0.0, 1.0);
        /// Choices at least this likely are dropped, save the least likely of them; above 0.5 is off.
        threshold: f32 = 0.1, "xtc-threshold", Range::between(0.0, 1.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["xtc"],
    role: Role::Reweighs(|settings, _| {
        let Settings { probability, threshold } = settings.xtc;
        // Above one half, no two candidates can pass.
        (probability > 0.0 && threshold <= 0.5)
            .then(|| Box::new(Xtc { probability, threshold, least: settings.chain_order.least() }) as _)
    }),
};

#[derive(Debug, Clone)]
struct Xtc {
    probability: f32,
    threshold: f32,
    least: usize,
}

impl Sampler for Xtc {
    fn apply(&mut self, candidates: &mut Candidates, random: &mut Random) {
        if random.unit() >= f64::from(self.probability) {
            return;
        }
        candidates.sorted();
        let list = candidates.normalise();
        let passing = list.iter().take_while(|candidate| candidate.probability >= self.threshold).count();
        let dropped = passing.saturating_sub(1);
        if list.len() - dropped >= self.least {
            list.drain(..dropped);
        }
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
    fn drops_all_but_the_last_that_passes() {
        let Role::Reweighs(make) = REGISTRATION.role else { panic!("role") };
        let xtc = |threshold, least| {
            build(make, &[("xtc-probability", "1"), ("xtc-threshold", threshold), ("min-keep", least)])
        };
        let p = [0.4, 0.3, 0.2, 0.1];
        let all: &[(u32, f32)] = &[(0, 0.4), (1, 0.3), (2, 0.2), (3, 0.1)];
        check(xtc("0.09", "0"), &[], &p, &[(3, 1.0)]);
        check(xtc("0.19", "0"), &[], &p, &[(2, 2.0 / 3.0), (3, 1.0 / 3.0)]);
        check(xtc("0.29", "0"), &[], &p, &[(1, 0.5), (2, 1.0 / 3.0), (3, 1.0 / 6.0)]);
        check(xtc("0.39", "0"), &[], &p, all);
        check(xtc("0.09", "2"), &[], &p, all);
        check(xtc("0", "0"), &[], &[1.0], &[(0, 1.0)]);
        assert!(build(make, &[]).is_none());
        assert!(xtc("0.51", "0").is_none());
    }

    #[test]
    fn happens_as_often_as_asked() {
        let Role::Reweighs(make) = REGISTRATION.role else { panic!("role") };
        let mut sampler = build(make, &[("xtc-probability", "0.25")]).unwrap();
        let (mut candidates, mut random, mut hits) = (Candidates::default(), Random::new(5), 0);
        for _ in 0..4000 {
            candidates.load(&[0.0, 0.0]);
            sampler.apply(&mut candidates, &mut random);
            hits += u32::from(candidates.list().len() == 1);
        }
        // Four standard deviations of a binomial draw: 4 · √(4000 · ¼ · ¾) ≈ 110.
        assert!(hits.abs_diff(1000) < 110, "{hits} of 4000");
    }
}
