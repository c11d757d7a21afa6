//! The merge loop of both byte-pair families: join the best-ranked neighbours until no pair is known.
//!
//! Byte-level BPE ranks pairs by their line in the merge list, SentencePiece-BPE by the score of the joined token; both
//! take the leftmost of equals. Short words use plain scans, long ones a linked list and a [`RankQueue`].
//! Invariant: the outcome depends on the rules and the word alone, never on which of the two loops ran; n symbols cost
//! O(n log n).

use crate::rank_queue::RankQueue;

/// The number of a text that no rule knows.
pub(crate) const NO_PIECE: u32 = u32::MAX;
/// No pair here, or no neighbour.
const NONE: u32 = u32::MAX;
/// Up to this many symbols a scan beats the queue.
const SHORT: usize = 48;
/// Longer words are cut, so that positions fit 32 bits.
const LONGEST: usize = 1 << 30;

/// Two neighbours that may be joined.
pub(crate) struct Pair<'a> {
    /// Piece numbers, [`NO_PIECE`] where unknown.
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// The bytes of both.
    pub(crate) text: &'a [u8],
}

/// What a pair becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    /// Lower goes first.
    pub(crate) rank: u32,
    pub(crate) piece: u32,
}

/// What the loop needs to know of a vocabulary.
pub(crate) trait MergeRules {
    /// The first symbol of a non-empty text: its length in bytes (at least 1) and its piece.
    fn first_symbol(&self, text: &[u8]) -> (usize, u32);
    /// Whether and when two neighbours are joined.
    fn join(&self, pair: Pair<'_>) -> Option<Joined>;
}

/// A stretch of the word.
#[derive(Clone, Copy)]
struct Symbol {
    start: u32,
    piece: u32,
    /// Of the pair that this symbol forms with its right neighbour.
    rank: u32,
    joined: u32,
}

/// A symbol in a list from which others vanish.
#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    alive: bool,
}

/// The loop with its scratch memory, to be used for one word after the other.
#[derive(Default)]
pub(crate) struct Merger {
    symbols: Vec<Symbol>,
    links: Vec<Link>,
    queue: RankQueue,
}

impl Merger {
    /// Merges one word and hands out the resulting pieces with their bytes, from left to right.
    pub(crate) fn merge<'w, R: MergeRules>(&mut self, rules: &R, word: &'w [u8], mut emit: impl FnMut(u32, &'w [u8])) {
        for word in word.chunks(LONGEST) {
            self.read_symbols(rules, word);
            if self.symbols.len() <= SHORT {
                self.merge_short(rules, word);
            } else {
                self.merge_long(rules, word);
            }
            for (index, symbol) in self.symbols.iter().enumerate() {
                let end = self.symbols.get(index + 1).map_or(word.len(), |next| next.start as usize);
                emit(symbol.piece, &word[symbol.start as usize..end]);
            }
        }
    }

    /// Splits the word into its first symbols and looks every pair up.
    fn read_symbols<R: MergeRules>(&mut self, rules: &R, word: &[u8]) {
        self.symbols.clear();
        let mut at = 0;
        while at < word.len() {
            let (length, piece) = rules.first_symbol(&word[at..]);
            self.symbols.push(Symbol { start: at as u32, piece, rank: NONE, joined: NO_PIECE });
            at = (at + length.max(1)).min(word.len());
        }
        for index in 0..self.symbols.len() {
            let end = self.symbols.get(index + 2).map_or(word.len(), |after| after.start as usize);
            self.look_up(rules, word, index, (index + 1 < self.symbols.len()).then_some(index + 1), end);
        }
    }

    /// Notes the pair of `left` and `right`, which ends at `end`.
    fn look_up<R: MergeRules>(&mut self, rules: &R, word: &[u8], left: usize, right: Option<usize>, end: usize) {
        let joined = right.and_then(|right| {
            let text = &word[self.symbols[left].start as usize..end];
            rules.join(Pair { left: self.symbols[left].piece, right: self.symbols[right].piece, text })
        });
        let symbol = &mut self.symbols[left];
        (symbol.rank, symbol.joined) = joined.map_or((NONE, NO_PIECE), |joined| (joined.rank, joined.piece));
    }

    fn merge_short<R: MergeRules>(&mut self, rules: &R, word: &[u8]) {
        while let Some((best, symbol)) = self.symbols.iter().enumerate().min_by_key(|(_, symbol)| symbol.rank) {
            if symbol.rank == NONE {
                break;
            }
            self.symbols[best].piece = self.symbols[best].joined;
            self.symbols.remove(best + 1);
            for left in [best.checked_sub(1), Some(best)].into_iter().flatten() {
                let end = self.symbols.get(left + 2).map_or(word.len(), |after| after.start as usize);
                self.look_up(rules, word, left, (left + 1 < self.symbols.len()).then_some(left + 1), end);
            }
        }
    }

    fn merge_long<R: MergeRules>(&mut self, rules: &R, word: &[u8]) {
        let count = self.symbols.len() as u32;
        self.links.clear();
        self.links.extend((0..count).map(|index| Link {
            previous: index.checked_sub(1).unwrap_or(NONE),
            next: if index + 1 < count { index + 1 } else { NONE },
            alive: true,
        }));
        for (index, symbol) in self.symbols.iter().enumerate().filter(|(_, symbol)| symbol.rank != NONE) {
            self.queue.push(symbol.rank, index as u32);
        }
        while let Some((rank, left)) = self.queue.pop() {
            let left = left as usize;
            if !self.links[left].alive || self.symbols[left].rank != rank {
                continue; // an older pair of a symbol that has changed since
            }
            let right = self.links[left].next as usize;
            self.symbols[left].piece = self.symbols[left].joined;
            let after = self.links[right].next;
            self.links[right].alive = false;
            self.links[left].next = after;
            if after != NONE {
                self.links[after as usize].previous = left as u32;
            }
            let previous = self.links[left].previous;
            if previous != NONE {
                self.renew(rules, word, previous as usize);
            }
            self.renew(rules, word, left);
        }
        let mut index = 0;
        let links = &self.links;
        self.symbols.retain(|_| {
            index += 1;
            links[index - 1].alive
        });
    }

    /// Looks up a changed pair of the list and queues it.
    fn renew<R: MergeRules>(&mut self, rules: &R, word: &[u8], left: usize) {
        let start_of = |index: u32| self.symbols.get(index as usize).map_or(word.len(), |symbol| symbol.start as usize);
        let right = self.links[left].next;
        if right == NONE {
            (self.symbols[left].rank, self.symbols[left].joined) = (NONE, NO_PIECE);
            return;
        }
        let end = start_of(self.links[right as usize].next);
        self.look_up(rules, word, left, Some(right as usize), end);
        if self.symbols[left].rank != NONE {
            self.queue.push(self.symbols[left].rank, left as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of equal bytes or of equal powers of them: ranks by length.
    struct Doubling;

    impl MergeRules for Doubling {
        fn first_symbol(&self, text: &[u8]) -> (usize, u32) {
            (1, u32::from(text[0]))
        }

        fn join(&self, pair: Pair<'_>) -> Option<Joined> {
            let same = pair.text.iter().all(|byte| *byte == pair.text[0]);
            (same && pair.text.len().is_power_of_two())
                .then(|| Joined { rank: pair.text.len() as u32, piece: pair.text.len() as u32 * 256 })
        }
    }

    fn lengths(word: &[u8], force_long: Option<()>) -> Vec<usize> {
        let mut merger = Merger::default();
        if force_long.is_some() {
            merger.read_symbols(&Doubling, word);
            merger.merge_long(&Doubling, word);
            let starts: Vec<_> =
                merger.symbols.iter().map(|symbol| symbol.start as usize).chain([word.len()]).collect();
            return starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        }
        let mut lengths = Vec::new();
        merger.merge(&Doubling, word, |_, text| lengths.push(text.len()));
        lengths
    }

    #[test]
    fn joins_by_rank_then_from_left_to_right() {
        assert_eq!(lengths(b"aaaaaaa", None), [4, 2, 1]);
        assert_eq!(lengths(b"aabaaaa", None), [2, 1, 4]);
        assert_eq!(lengths(b"", None), []);
    }

    #[test]
    fn both_loops_agree() {
        for length in 0..48_usize {
            for period in 1..9 {
                let word: Vec<u8> = (0..length).map(|index| b'a' + (index / period % 3) as u8).collect();
                assert_eq!(lengths(&word, None), lengths(&word, Some(())), "{word:?}");
            }
        }
    }

    #[test]
    fn a_word_of_a_million_letters_ends() {
        assert_eq!(lengths(&vec![b'a'; (1 << 20) + 3], None), [1 << 20, 2, 1]);
    }
}
