//! Locally typical sampling: keeps the candidates whose surprise is nearest to the expected one, up to a probability of p
//! (Meister et al. 2022, arXiv:2202.00666).

use crate::candidates::{Candidate, Candidates};
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Locally typical sampling.
    pub struct Settings {
        /// Keep the tokens of most typical surprise that together have this probability; 1 is off.
        p: f32 = 1.0, "typical" | "typical-p", Range::between(0.0, 1.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["typical_p", "typ_p", "typp", "typ", "typical"],
    role: Role::Reweighs(|settings, _| {
        let p = settings.typical_p.p;
        (p < 1.0).then(|| Box::new(Typical { p, least: settings.chain_order.least(), by_distance: Vec::new() }) as _)
    }),
};

#[derive(Debug, Clone)]
struct Typical {
    p: f32,
    least: usize,
    /// Distance from the expected surprise, and the candidate; kept for its room.
    by_distance: Vec<(f32, Candidate)>,
}

impl Sampler for Typical {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        candidates.sorted();
        let list = candidates.normalise();
        list.retain(|candidate| candidate.probability > 0.0);
        let entropy: f32 = list.iter().map(|candidate| -candidate.probability * candidate.probability.ln()).sum();
        self.by_distance.clear();
        self.by_distance
            .extend(list.iter().map(|candidate| ((-candidate.probability.ln() - entropy).abs(), *candidate)));
        // Equals stay in the order of their probability.
        self.by_distance.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut sum = 0.0;
        let enough = self.by_distance.iter().enumerate().position(|(index, (_, candidate))| {
            sum += candidate.probability;
            sum > self.p && index + 1 >= self.least
        });
        let kept = enough.map_or(self.by_distance.len(), |index| index + 1);
        candidates.replace(self.by_distance[..kept].iter().map(|(_, candidate)| *candidate));
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
    fn keeps_the_typical() {
        let Role::Reweighs(make) = REGISTRATION.role else { panic!("role") };
        check(build(make, &[("typical", "0.5")]), &[], &[0.97, 0.01, 0.01, 0.01], &[(0, 1.0)]);
        // Entropy 1.332: 0.2 (surprise 1.609) is nearer than 0.4 (0.916), and three of them pass one half.
        let third = 1.0 / 3.0;
        check(build(make, &[("typical", "0.5")]), &[], &[0.4, 0.2, 0.2, 0.2], &[(1, third), (2, third), (3, third)]);
        check(build(make, &[("typical", "0.5")]), &[], &[0.0, 0.5, 0.5], &[(1, 0.5), (2, 0.5)]);
        let keep_four = build(make, &[("typical", "0.5"), ("min-keep", "4")]);
        check(keep_four, &[], &[0.4, 0.2, 0.2, 0.2], &[(0, 0.4), (1, 0.2), (2, 0.2), (3, 0.2)]);
        assert!(build(make, &[("typical", "1")]).is_none());
    }
}
