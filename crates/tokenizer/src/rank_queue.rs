//! A priority queue of word positions by rank: lowest rank first, and within a rank from left to right.
//!
//! Used by the merge loop. Merging a word of n symbols puts the same few ranks in again and again, mostly from left to
//! right; so positions are kept in one list per rank, sorted once when the rank's turn comes, and a heap orders only the
//! ranks. A 10 MB word of one letter thus costs about as much per byte as a short one.
//! Invariant: [`RankQueue::pop`] never returns a greater (rank, position) than one that is still inside.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::text_index::mix;

/// A hash map whose keys are small numbers.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Mixes one number; see [`mix`].
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, crate::text_index::hash(bytes));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ 0x9e37_79b9_7f4a_7c15, number);
    }
}

/// The positions of one rank.
#[derive(Default)]
struct Bucket {
    /// Collected before the rank's turn; sorted when it comes.
    positions: Vec<u32>,
    /// How many of them are taken.
    taken: usize,
    /// Added during the rank's turn.
    late: BinaryHeap<Reverse<u32>>,
    open: bool,
}

impl Bucket {
    fn push(&mut self, position: u32) {
        if self.open {
            self.late.push(Reverse(position));
        } else {
            self.positions.push(position);
        }
    }

    fn pop(&mut self) -> Option<u32> {
        if !self.open {
            self.positions.sort_unstable();
            self.open = true;
        }
        let early = self.positions.get(self.taken).copied();
        match (early, self.late.peek()) {
            (Some(early), Some(Reverse(late))) if *late < early => self.late.pop().map(|Reverse(late)| late),
            (Some(early), _) => {
                self.taken += 1;
                Some(early)
            }
            (None, _) => self.late.pop().map(|Reverse(late)| late),
        }
    }
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct RankQueue {
    ranks: BinaryHeap<Reverse<u32>>,
    buckets: NumberMap<u32, Bucket>,
}

impl RankQueue {
    pub(crate) fn push(&mut self, rank: u32, position: u32) {
        let bucket = self.buckets.entry(rank).or_insert_with(|| {
            self.ranks.push(Reverse(rank));
            Bucket::default()
        });
        bucket.push(position);
    }

    /// Takes the lowest rank's leftmost position.
    pub(crate) fn pop(&mut self) -> Option<(u32, u32)> {
        while let Some(Reverse(rank)) = self.ranks.peek().copied() {
            if let Some(position) = self.buckets.get_mut(&rank).and_then(Bucket::pop) {
                return Some((rank, position));
            }
            self.buckets.remove(&rank);
            self.ranks.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_in_order_with_pushes_in_between() {
        let mut queue = RankQueue::default();
        for (rank, position) in [(5, 9), (5, 1), (2, 4), (5, 3)] {
            queue.push(rank, position);
        }
        assert_eq!(queue.pop(), Some((2, 4)));
        assert_eq!(queue.pop(), Some((5, 1)));
        queue.push(5, 2);
        queue.push(5, 0);
        queue.push(1, 7);
        queue.push(2, 4);
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, [(1, 7), (2, 4), (5, 0), (5, 2), (5, 3), (5, 9)]);
    }

    #[test]
    fn agrees_with_a_heap() {
        let mut state = 1_u64;
        let mut next = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % limit) as u32
        };
        let mut queue = RankQueue::default();
        let mut heap = BinaryHeap::new();
        for _ in 0..20_000 {
            if next(5) < 3 {
                let (rank, position) = (next(20), next(1000));
                queue.push(rank, position);
                heap.push(Reverse((rank, position)));
            } else {
                assert_eq!(queue.pop(), heap.pop().map(|Reverse(top)| top));
            }
        }
    }
}
