//! Greedy: at a temperature of zero or below, the most likely token, the first of equals.

use crate::candidates::Candidates;
use crate::random::Random;
use crate::samplers::{Registration, Role, Taker};

pub(crate) const REGISTRATION: Registration = Registration {
    names: &[],
    role: Role::Takes(|settings| {
        let temperature = &settings.temperature;
        (temperature.value <= 0.0 && temperature.dynamic_range <= 0.0).then(|| Box::new(Greedy) as Box<dyn Taker>)
    }),
};

#[derive(Debug, Clone)]
struct Greedy;

impl Taker for Greedy {
    fn take(&mut self, candidates: &mut Candidates, _random: &mut Random) -> Option<usize> {
        candidates.keep_top(1);
        candidates.normalise();
        candidates.maximum().is_finite().then_some(0)
    }

    fn follows(&self, registration: &Registration) -> bool {
        !matches!(registration.role, Role::KeepsBest(_))
    }

    fn is_greedy(&self) -> bool {
        true
    }

    fn boxed_clone(&self) -> Box<dyn Taker> {
        Box::new(self.clone())
    }
}
