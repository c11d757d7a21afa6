//! Top-p: keeps the fewest most likely candidates that together reach p (Holtzman et al. 2019, arXiv:1904.09751).

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Top-p, also called nucleus sampling.
    pub struct Settings {
        /// Keep the most likely tokens that together have this probability; 1 is off.
        p: f32 = 0.95, "top-p", Range::between(0.0, 1.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["top_p", "topp", "nucleus"],
    role: Role::KeepsBest(|settings, _| {
        let p = settings.top_p.p;
        (p < 1.0).then(|| Box::new(TopP { p, least: settings.chain_order.least() }) as _)
    }),
};

#[derive(Debug, Clone)]
struct TopP {
    p: f32,
    least: usize,
}

impl Sampler for TopP {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        let size = candidates.normalise().len();
        let mut sorted = if candidates.is_sorted() { size } else { 0 };
        // Without top-k before it, a vocabulary is put in order only as far as the sum needs.
        let mut part = 256;
        let (mut sum, mut kept) = (0.0_f32, 0);
        while kept < size && (sum < self.p || kept < self.least) {
            if kept == sorted {
                let next = (sorted + part).min(size);
                candidates.sort_part(sorted, next);
                (sorted, part) = (next, part * 4);
            }
            sum += candidates.list()[kept].probability;
            kept += 1;
        }
        if kept == 0 && size > 0 {
            candidates.sort_part(0, 1);
            kept = 1;
        }
        candidates.keep_first(kept);
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
    fn keeps_the_nucleus() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let p = [0.1, 0.2, 0.3, 0.4];
        check(build(make, &[("top-p", "0")]), &[], &p, &[(3, 1.0)]);
        check(build(make, &[("top-p", "0.69")]), &[], &p, &[(2, 3.0 / 7.0), (3, 4.0 / 7.0)]);
        check(build(make, &[("top-p", "0.8")]), &[], &p, &[(1, 2.0 / 9.0), (2, 3.0 / 9.0), (3, 4.0 / 9.0)]);
        check(build(make, &[("top-p", "0"), ("min-keep", "2")]), &[], &p, &[(2, 3.0 / 7.0), (3, 4.0 / 7.0)]);
        assert!(build(make, &[("top-p", "1")]).is_none());
    }

    #[test]
    fn a_large_vocabulary_is_cut_at_the_same_place_as_a_sorted_one() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let mut random = Random::new(3);
        let logits: Vec<f32> = (0..20_000).map(|_| random.unit() as f32 * 6.0).collect();
        for p in ["0.01", "0.3", "0.9", "0.999"] {
            let mut sampler = build(make, &[("top-p", p)]).unwrap();
            let [mut lazy, mut sorted] = [Candidates::default(), Candidates::default()];
            lazy.load(&logits);
            sorted.load(&logits);
            sorted.sorted();
            sampler.apply(&mut lazy, &mut random);
            sampler.apply(&mut sorted, &mut random);
            let tokens = |candidates: &mut Candidates| candidates.list().iter().map(|c| c.token).collect::<Vec<_>>();
            assert_eq!(tokens(&mut lazy), tokens(&mut sorted), "top-p {p}");
        }
    }
}
