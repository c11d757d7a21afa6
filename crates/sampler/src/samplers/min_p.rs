//! Min-p: keeps the candidates at least p times as likely as the best (Nguyen et al. 2024, arXiv:2407.01082).

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Min-p.
    pub struct Settings {
        /// Keep tokens at least this share as likely as the most likely one; 0 is off.
        p: f32 = 0.05, "min-p", Range::between(0.0, 1.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["min_p", "minp"],
    role: Role::KeepsBest(|settings, _| {
        let p = settings.min_p.p;
        (p > 0.0).then(|| Box::new(MinP { log_p: p.ln(), least: settings.chain_order.least() }) as _)
    }),
};

#[derive(Debug, Clone)]
struct MinP {
    /// The share, as a distance of logits.
    log_p: f32,
    least: usize,
}

impl Sampler for MinP {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        let limit = candidates.maximum() + self.log_p;
        let mut count = 0;
        candidates.for_each_logit(|logit| count += usize::from(logit >= limit));
        if count < self.least {
            candidates.keep_top(self.least);
        } else {
            candidates.keep_from(limit);
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
    fn keeps_those_near_the_best() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let p = [0.1, 0.2, 0.3, 0.4];
        let all: &[(u32, f32)] = &[(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)];
        let three: &[(u32, f32)] = &[(1, 2.0 / 9.0), (2, 3.0 / 9.0), (3, 4.0 / 9.0)];
        let two: &[(u32, f32)] = &[(2, 3.0 / 7.0), (3, 4.0 / 7.0)];
        for (share, kept) in [
            ("0.24", all),
            ("0.26", three),
            ("0.49", three),
            ("0.51", two),
            ("0.74", two),
            ("0.76", &[(3, 1.0)]),
            ("1", &[(3, 1.0)]),
        ] {
            check(build(make, &[("min-p", share)]), &[], &p, kept);
        }
        check(build(make, &[("min-p", "1"), ("min-keep", "3")]), &[], &p, three);
        assert!(build(make, &[("min-p", "0")]).is_none());
    }
}
