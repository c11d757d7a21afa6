//! Top-n-sigma: keeps the candidates within n standard deviations of the greatest logit (arXiv:2411.07641).

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Top-n-sigma.
    pub struct Settings {
        /// Keep tokens whose logit is within this many standard deviations of the greatest; 0 and below are off.
        n: f32 = -1.0, "top-n-sigma" | "top-nsigma", Range::ANY;
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["top_n_sigma", "topnsigma"],
    role: Role::KeepsBest(|settings, _| {
        let n = settings.top_n_sigma.n;
        (n > 0.0).then(|| Box::new(TopNSigma { n }) as _)
    }),
};

#[derive(Debug, Clone)]
struct TopNSigma {
    n: f32,
}

impl Sampler for TopNSigma {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        let (mut count, mut sum) = (0.0_f64, 0.0_f64);
        candidates.for_each_logit(|logit| {
            count += 1.0;
            sum += f64::from(logit);
        });
        let mean = sum / count;
        let mut squares = 0.0_f64;
        candidates.for_each_logit(|logit| squares += (f64::from(logit) - mean).powi(2));
        let limit = f64::from(candidates.maximum()) - f64::from(self.n) * (squares / count).sqrt();
        // Rounding must not lift the limit above the best candidate.
        candidates.keep_from((limit as f32).min(candidates.maximum()));
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
    fn keeps_within_n_deviations() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let p = [0.1, 0.2, 0.3, 0.4];
        // Logits −2.303 −1.609 −1.204 −0.916: standard deviation 0.522.
        check(build(make, &[("top-nsigma", "1")]), &[], &p, &[(2, 3.0 / 7.0), (3, 4.0 / 7.0)]);
        check(build(make, &[("top-nsigma", "3")]), &[], &p, &[(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)]);
        // An impossible token does not count: of the rest (deviation 0.347) both remain.
        check(build(make, &[("top-nsigma", "2.5")]), &[], &[0.0, 0.2, 0.4], &[(1, 1.0 / 3.0), (2, 2.0 / 3.0)]);
        check(build(make, &[("top-nsigma", "0.1")]), &[], &[0.5, 0.5], &[(0, 0.5), (1, 0.5)]);
        for off in ["0", "-1"] {
            assert!(build(make, &[("top-nsigma", off)]).is_none());
        }
    }
}
