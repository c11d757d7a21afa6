//! Temperature: divides the logits; the dynamic kind chooses the divisor by how undecided the model is
//! (entropy-based dynamic temperature, Zhang et al. 2024, arXiv:2403.14541).

use crate::candidates::Candidates;
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Temperature.
    pub struct Settings {
        /// Divides the logits: below 1 surer, above 1 more varied; 0 and below always take the most likely token.
        value: f32 = 0.8, "temp" | "temperature", Range::ANY;
        /// Lets the temperature vary by this much to each side, with the model's uncertainty; 0 is off.
        dynamic_range: f32 = 0.0, "dynatemp-range", Range::at_least(0.0);
        /// Exponent that shapes how uncertainty becomes temperature.
        dynamic_exponent: f32 = 1.0, "dynatemp-exp" | "dynatemp-exponent", Range::at_least(0.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["temperature", "temp"],
    role: Role::KeepsBest(|settings, _| {
        let settings = &settings.temperature;
        (settings.value != 1.0 || settings.dynamic_range > 0.0)
            .then(|| Box::new(Temperature { settings: settings.clone() }) as _)
    }),
};

#[derive(Debug, Clone)]
struct Temperature {
    settings: Settings,
}

impl Sampler for Temperature {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        let Settings { value, dynamic_range, dynamic_exponent } = self.settings;
        let temperature = if dynamic_range > 0.0 {
            let coolest = (value - dynamic_range).max(0.0);
            let hottest = (value + dynamic_range).max(0.0);
            coolest + (hottest - coolest) * uncertainty(candidates).powf(dynamic_exponent)
        } else {
            value
        };
        if temperature <= 0.0 {
            return candidates.keep_top(1);
        }
        // Measured from the greatest, so that no temperature, however small, makes the quotient overflow upwards.
        let maximum = candidates.maximum();
        if maximum > f32::NEG_INFINITY {
            candidates.scale(|logit| (logit - maximum) / temperature);
        }
    }

    fn boxed_clone(&self) -> Box<dyn Sampler> {
        Box::new(self.clone())
    }
}

/// The entropy of the candidates as a share of the greatest possible one, from 0 to 1.
fn uncertainty(candidates: &mut Candidates) -> f32 {
    let list = candidates.normalise();
    if list.len() < 2 {
        return 0.0;
    }
    let probable = list.iter().map(|candidate| candidate.probability).filter(|&probability| probability > 0.0);
    let entropy: f32 = probable.map(|probability| -probability * probability.ln()).sum();
    (entropy / (list.len() as f32).ln()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::check::{build, check};

    #[test]
    fn sharpens_and_flattens() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let p = [0.1, 0.2, 0.3, 0.4];
        let all: &[(u32, f32)] = &[(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)];
        let temperature = |value| build(make, &[("temp", value)]);
        check(temperature("1"), &[], &p, all);
        // One half squares the probabilities: 1, 4, 9, 16 of 30.
        check(temperature("0.5"), &[], &p, &[(0, 1.0 / 30.0), (1, 4.0 / 30.0), (2, 9.0 / 30.0), (3, 16.0 / 30.0)]);
        check(temperature("1e30"), &[], &p, &[(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)]);
        for tiny in ["0", "-1", "1e-45"] {
            check(temperature(tiny), &[], &p, &[(3, 1.0)]);
        }
    }

    #[test]
    fn dynamic_temperature_follows_entropy() {
        let Role::KeepsBest(make) = REGISTRATION.role else { panic!("role") };
        let dynamic = |value, range, exponent| {
            build(make, &[("temp", value), ("dynatemp-range", range), ("dynatemp-exp", exponent)])
        };
        // Even candidates have full entropy, hence the hottest temperature, which leaves them even.
        check(dynamic("1", "0.5", "1"), &[], &[0.5, 0.5], &[(0, 0.5), (1, 0.5)]);
        // Entropy of (0.8, 0.2) is 0.5004 of ln 2, 0.72193 of it: temperature 0.5 + 1 · 0.72193; odds 4^(1/1.22193) = 3.1096.
        check(dynamic("1", "0.5", "1"), &[], &[0.8, 0.2], &[(0, 0.756669), (1, 0.243331)]);
        // Exponent 2: temperature 0.5 + 0.52118; odds 4^(1/1.02118) = 3.8866.
        check(dynamic("1", "0.5", "2"), &[], &[0.8, 0.2], &[(0, 0.795362), (1, 0.204638)]);
        // A decided model at a temperature that reaches down to zero.
        check(dynamic("0", "0.5", "1"), &[], &[1.0], &[(0, 1.0)]);
    }
}
