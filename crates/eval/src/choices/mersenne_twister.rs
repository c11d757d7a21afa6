//! The generator that llama.cpp chooses tasks with: MT19937 (Matsumoto and Nishimura 1998), seeded with 1.

const SIZE: usize = 624;
const MIDDLE: usize = 397;

/// The generator.
pub(super) struct MersenneTwister {
    state: [u32; SIZE],
    at: usize,
}

impl MersenneTwister {
    pub(super) fn new(seed: u32) -> MersenneTwister {
        let mut state = [seed; SIZE];
        for index in 1..SIZE {
            let before = state[index - 1];
            state[index] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(index as u32);
        }
        MersenneTwister { state, at: SIZE }
    }

    pub(super) fn next(&mut self) -> u32 {
        if self.at == SIZE {
            for index in 0..SIZE {
                let mixed = (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % SIZE] & 0x7fff_ffff);
                let twisted = (mixed >> 1) ^ if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[index] = self.state[(index + MIDDLE) % SIZE] ^ twisted;
            }
            self.at = 0;
        }
        let mut number = self.state[self.at];
        self.at += 1;
        number ^= number >> 11;
        number ^= (number << 7) & 0x9d2c_5680;
        number ^= (number << 15) & 0xefc6_0000;
        number ^ (number >> 18)
    }

    /// A number below `limit`, each as likely as the others (Lemire 2019, as libstdc++ has it).
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        let mut product = u64::from(self.next()) * u64::from(limit);
        if (product as u32) < limit {
            let threshold = limit.wrapping_neg() % limit;
            while (product as u32) < threshold {
                product = u64::from(self.next()) * u64::from(limit);
            }
        }
        (product >> 32) as u32
    }

    /// `wanted` of `count` indices; what was drawn is replaced by the last. In single precision, as llama.cpp reckons.
    pub(super) fn choose(&mut self, count: usize, wanted: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..count).collect();
        let scale = 1.0 / (1u64 << 32) as f32;
        let mut chosen = Vec::with_capacity(wanted);
        while chosen.len() < wanted.min(count) {
            let at = (scale * self.next() as f32 * left.len() as f32) as usize;
            chosen.push(left.swap_remove(at.min(left.len() - 1)));
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_standard() {
        // ISO C++ [rand.predef]: the 10000th number of the default seed.
        let mut random = MersenneTwister::new(5489);
        let last = (0..10_000).map(|_| random.next()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn choices_are_different_and_in_range() {
        let chosen = MersenneTwister::new(1).choose(50, 50);
        let mut sorted = chosen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_ne!(chosen, sorted);
        assert_eq!(MersenneTwister::new(1).choose(2, 9).len(), 2);
        let mut random = MersenneTwister::new(1);
        assert!((0..1000).all(|_| random.below(7) < 7));
    }
}
