//! The draw: one candidate, with its probability, from the seeded generator.

use crate::candidates::{Candidate, Candidates};
use crate::parameter::{Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Taker};

parameters! {
    /// The randomness of the draw.
    pub struct Settings {
        /// Seed of the random numbers; the same seed gives the same text, -1 takes a new one each time.
        seed: i64 = -1, "seed", Range::at_least(-1.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration { names: &[], role: Role::Takes(|_| Some(Box::new(Draw))) };

#[derive(Debug, Clone)]
struct Draw;

impl Taker for Draw {
    fn take(&mut self, candidates: &mut Candidates, random: &mut Random) -> Option<usize> {
        draw(candidates.normalise(), random)
    }

    fn boxed_clone(&self) -> Box<dyn Taker> {
        Box::new(self.clone())
    }
}

/// Draws by probability; exactly one random number is used, however many candidates there are.
pub(crate) fn draw(list: &[Candidate], random: &mut Random) -> Option<usize> {
    let unit = random.unit();
    let total: f64 = list.iter().map(|candidate| f64::from(candidate.probability)).sum();
    let target = unit * total;
    let mut sum = 0.0;
    list.iter()
        .position(|candidate| {
            sum += f64::from(candidate.probability);
            sum > target
        })
        // Only rounding can leave the sum short of a target below the total.
        .or_else(|| list.iter().rposition(|candidate| candidate.probability > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_follow_probabilities() {
        let probabilities = [0.4_f32, 0.3, 0.0, 0.2, 0.1];
        let logits = probabilities.map(f32::ln);
        let mut counts = [0_u32; 5];
        let (mut candidates, mut random) = (Candidates::default(), Random::new(7));
        const DRAWS: u32 = 20_000;
        for _ in 0..DRAWS {
            candidates.load(&logits);
            let index = Draw.take(&mut candidates, &mut random).unwrap();
            counts[candidates.list()[index].token as usize] += 1;
        }
        assert_eq!(counts[2], 0);
        // Pearson's χ² with 3 degrees of freedom exceeds 16.3 once in a thousand seeds; this one is fixed.
        let chi_squared: f32 = (probabilities.iter().zip(counts).filter(|(p, _)| **p > 0.0))
            .map(|(p, count)| (count as f32 - p * DRAWS as f32).powi(2) / (p * DRAWS as f32))
            .sum();
        assert!(chi_squared < 16.3, "χ² {chi_squared}, counts {counts:?}");
    }
}
