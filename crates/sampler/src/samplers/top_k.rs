//! Top-k: keeps the k most likely candidates (Fan et al. 2018, arXiv:1805.04833).

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Top-k.
    pub struct Settings {
        /// Keep this many of the most likely tokens; 0 keeps all.
        k: i32 = 40, "top-k", Range::ANY;
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["top_k", "topk"],
    role: Role::KeepsBest(|settings, _| {
        let count = usize::try_from(settings.top_k.k).ok().filter(|&k| k > 0)?;
        Some(Box::new(TopK { count: count.max(settings.chain_order.least()) }))
    }),
};

#[derive(Debug, Clone)]
struct TopK {
    count: usize,
}

impl Sampler for TopK {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        candidates.keep_top(self.count);
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
    fn keeps_the_k_most_likely() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let p = [0.1, 0.2, 0.3, 0.4];
        check(build(make, &[("top-k", "1")]), &[], &p, &[(3, 1.0)]);
        check(build(make, &[("top-k", "3")]), &[], &p, &[(1, 2.0 / 9.0), (2, 3.0 / 9.0), (3, 4.0 / 9.0)]);
        check(build(make, &[("top-k", "9")]), &[], &p, &[(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)]);
        check(build(make, &[("top-k", "1"), ("min-keep", "2")]), &[], &p, &[(2, 3.0 / 7.0), (3, 4.0 / 7.0)]);
        // The first of equals is kept.
        check(build(make, &[("top-k", "2")]), &[], &[0.25; 4], &[(0, 0.5), (1, 0.5)]);
        for off in ["0", "-5"] {
            assert!(build(make, &[("top-k", off)]).is_none());
        }
    }
}
