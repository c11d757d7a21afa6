//! The generator behind every draw: xoshiro256++ seeded through SplitMix64, the same on every machine.
//!
//! Invariant: the stream depends on the seed alone. (llama.cpp draws from mt19937; its seeds give other tokens.)

use std::hash::{BuildHasher, Hasher};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A seeded stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number in [0, 1) with 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        // 2⁻⁵³: the spacing of doubles just below 1.
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

/// A seed nobody chose, small enough to be typed again (31 bits).
pub(crate) fn fresh_seed() -> u64 {
    // The standard library keys each hasher from the operating system's entropy.
    std::collections::hash_map::RandomState::new().build_hasher().finish() >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut random = Random::new(42);
        let mean = (0..10_000).map(|_| random.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "mean {mean}");
        // The first outputs for seed 42 were computed from the published algorithms (xoshiro256++ and SplitMix64).
        let mut random = Random::new(42);
        let first: Vec<u64> = (0..3).map(|_| (random.unit() * (1_u64 << 53) as f64) as u64).collect();
        assert_eq!(first, EXPECTED);
        let mut again = random.clone();
        assert_eq!(random.unit().to_bits(), again.unit().to_bits());
    }

    const EXPECTED: [u64; 3] = [7334608696282829, 2871684634439142, 8862130818352285];
}
