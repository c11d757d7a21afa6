//! How many tasks were answered correctly, and how sure that is.

/// The tasks so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// Tasks scored.
    pub tasks: usize,
    /// Tasks answered correctly.
    pub correct: usize,
    /// Choices there were in all of them.
    choices: usize,
}

impl Accuracy {
    /// Counts a task.
    pub(super) fn add(&mut self, correct: bool, choices: usize) {
        self.tasks += 1;
        self.correct += usize::from(correct);
        self.choices += choices;
    }

    /// Part of the tasks answered correctly.
    pub fn share(&self) -> f64 {
        self.correct as f64 / self.tasks.max(1) as f64
    }

    /// Its standard error.
    pub fn standard_error(&self) -> f64 {
        let share = self.share();
        if self.tasks > 1 { (share * (1.0 - share) / (self.tasks - 1) as f64).sqrt() } else { 0.0 }
    }

    /// The part that guessing would answer correctly.
    pub fn chance(&self) -> f64 {
        self.tasks as f64 / self.choices.max(1) as f64
    }

    /// Where the share lies with a probability of 95 % (Wilson 1927).
    pub fn interval(&self) -> (f64, f64) {
        /// The normal distribution has 95 % within so many deviations.
        const DEVIATIONS: f64 = 1.959_963_984_54;
        let (share, count) = (self.share(), self.tasks.max(1) as f64);
        let z = DEVIATIONS * DEVIATIONS / count;
        let half = (z * (4.0 * share * (1.0 - share) + z)).sqrt() / 2.0;
        ((share + z / 2.0 - half) / (1.0 + z), (share + z / 2.0 + half) / (1.0 + z))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(results: &[bool], choices: usize) -> Accuracy {
        let mut accuracy = Accuracy::default();
        results.iter().for_each(|&correct| accuracy.add(correct, choices));
        accuracy
    }

    #[test]
    fn the_interval_is_wilsons() {
        let half = of(&[true, false, true, false, true, false, true, false, true, false], 4);
        let (low, high) = half.interval();
        // Known: 5 of 10 is 23.7 % to 76.3 %.
        assert!((low - 0.2366).abs() < 1e-4 && (high - 0.7634).abs() < 1e-4, "{low} {high}");
        assert_eq!(half.chance(), 0.25);
        assert!((half.standard_error() - 1.0 / 6.0).abs() < 1e-12);
        let (low, high) = of(&[false; 3], 2).interval();
        // Known: 0 of 3 is 0 % to 56.2 %.
        assert!(low.abs() < 1e-12 && (high - 0.5615).abs() < 1e-4, "{low} {high}");
    }
}
