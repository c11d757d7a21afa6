//! Reading memory as fast as it goes.

use crate::isa::Isa;

/// A way of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPattern {
    /// Places far apart a thread reads from in turn: 1, 2 or 4.
    pub streams: usize,
    /// Bytes asked for ahead of those that are read; 0: the processor guesses.
    pub ahead: usize,
}

impl ReadPattern {
    /// What a plain loop does.
    pub const PLAIN: ReadPattern = ReadPattern { streams: 1, ahead: 0 };
    /// The ways worth trying: which one is best depends on the processor.
    pub const ALL: &'static [ReadPattern] = &[
        ReadPattern::PLAIN,
        ReadPattern { streams: 1, ahead: 2048 },
        ReadPattern { streams: 2, ahead: 0 },
        ReadPattern { streams: 4, ahead: 0 },
        ReadPattern { streams: 4, ahead: 1024 },
        ReadPattern { streams: 4, ahead: 4096 },
    ];
}

/// A cache line in words.
type Line = [u64; 8];

/// Lines of a round.
const ROUND: usize = 4;
/// Bytes a thread reads at least: several times the part of a shared cache that can be its own.
const BYTES_A_THREAD: usize = 256 << 20;
/// Bytes of the whole buffer, at least and at most.
const BYTES: std::ops::RangeInclusive<usize> = 512 << 20..=2 << 30;

/// A buffer for so many threads, every page of it touched.
pub(super) fn buffer(threads: usize) -> Vec<u64> {
    let bytes = (threads.saturating_mul(BYTES_A_THREAD)).clamp(*BYTES.start(), *BYTES.end());
    // Not zero: pages of zeros may be one and the same page.
    vec![0x9e37_79b9_7f4a_7c15; bytes / size_of::<u64>()]
}

/// Reads every word once, and gives all of them combined by exclusive or.
pub(super) fn run(isa: Isa, words: &[u64], pattern: ReadPattern) -> u64 {
    let (lines, rest) = words.as_chunks();
    let rounds = lines.len() / ROUND;
    let (whole, last) = lines.split_at(rounds * ROUND);
    let mut sum = last.as_flattened().iter().chain(rest).fold(0, |sum, word| sum ^ word);
    let streams = [1, 2, 4].into_iter().rev().find(|&streams| streams <= pattern.streams).unwrap_or(1);
    let walk = Walk { lines: whole, streams, ahead: pattern.ahead / size_of::<Line>() };
    let mut total = Line::default();
    match isa {
        Isa::Scalar | Isa::Sse41 => portable(&walk, &mut total),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: levels are checked against the machine where they are made.
        Isa::Avx2 | Isa::AvxVnni => unsafe { x86::avx2(&walk, &mut total) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Zen4 => unsafe { x86::avx512(&walk, &mut total) },
        // Plain loops are vectors of the baseline elsewhere.
        _ => portable(&walk, &mut total),
    }
    total.iter().for_each(|word| sum ^= word);
    sum
}

/// A walk over lines, four a round: as many streams as divide four, each of as many neighbours as are left.
struct Walk<'a> {
    /// Whole rounds of lines.
    lines: &'a [Line],
    streams: usize,
    /// Lines.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    ahead: usize,
}

impl Walk<'_> {
    fn rounds(&self) -> usize {
        self.lines.len() / ROUND
    }

    /// Where the lines of a round begin, seen from its first one. A stream is `lines / streams` long, and a round takes
    /// `4 / streams` of it: all lines of all rounds lie in `lines`, each in one round.
    fn places(&self) -> [usize; ROUND] {
        let apart = self.lines.len() / self.streams;
        std::array::from_fn(|n| n % self.streams * apart + n / self.streams)
    }

    /// Lines from one round to the next.
    fn step(&self) -> usize {
        ROUND / self.streams
    }
}

fn portable(walk: &Walk<'_>, total: &mut Line) {
    for round in 0..walk.rounds() {
        for place in walk.places() {
            let line = &walk.lines[round * walk.step() + place];
            total.iter_mut().zip(line).for_each(|(sum, word)| *sum ^= word);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Line, ROUND, Walk};

    macro_rules! reader {
        ($name:ident, $feature:literal, $zero:ident, $load:ident, $xor:ident, $store:ident, $parts:literal) => {
            #[target_feature(enable = $feature)]
            pub(super) fn $name(walk: &Walk<'_>, total: &mut Line) {
                /// Bytes of a vector.
                const BYTES: usize = size_of::<Line>() / $parts;
                let (places, step, ahead) = (walk.places(), walk.step(), walk.ahead);
                let mut sums = [[$zero(); $parts]; ROUND];
                for round in 0..walk.rounds() {
                    let first = walk.lines.as_ptr().wrapping_add(round * step);
                    for (place, sum) in places.iter().zip(&mut sums) {
                        let line = first.wrapping_add(*place);
                        if ahead > 0 {
                            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(ahead).cast());
                        }
                        for (part, sum) in sum.iter_mut().enumerate() {
                            // SAFETY: the line is one of the slice's (see `Walk::places`), and the part lies in the line.
                            *sum = $xor(*sum, unsafe { $load(line.cast::<u8>().add(part * BYTES).cast()) });
                        }
                    }
                }
                for part in 0..$parts {
                    let sum = sums.iter().fold($zero(), |all, sum| $xor(all, sum[part]));
                    // SAFETY: the part lies in the line.
                    unsafe { $store(total.as_mut_ptr().cast::<u8>().add(part * BYTES).cast(), sum) };
                }
            }
        };
    }

    reader!(avx2, "avx2", _mm256_setzero_si256, _mm256_loadu_si256, _mm256_xor_si256, _mm256_storeu_si256, 2);
    reader!(avx512, "avx512f", _mm512_setzero_si512, _mm512_loadu_si512, _mm512_xor_si512, _mm512_storeu_si512, 1);
}
