use std::ops::Range;

use ascua_graph::Run;

use super::*;
use crate::pool::{Sharing, ThreadPool, WorkCounter};

/// One attention to check: sizes, options, and the batch as (history, new tokens) of each sequence.
#[derive(Clone)]
struct Case {
    heads: usize,
    kv_heads: usize,
    key_size: usize,
    value_size: usize,
    window: Option<usize>,
    softcap: Option<f32>,
    alibi: Option<f32>,
    sinks: bool,
    key_type: TensorType,
    values: ValueSource,
    block_tokens: usize,
    sequences: Vec<(usize, usize)>,
}

impl Case {
    fn new(heads: usize, kv_heads: usize, size: usize, sequences: &[(usize, usize)]) -> Case {
        Case {
            heads,
            kv_heads,
            key_size: size,
            value_size: size,
            window: None,
            softcap: None,
            alibi: None,
            sinks: false,
            key_type: TensorType::F32,
            values: ValueSource::Cache(TensorType::F32),
            block_tokens: 16,
            sequences: sequences.to_vec(),
        }
    }

    fn types(self, key_type: TensorType, value_type: TensorType) -> Case {
        Case { key_type, values: ValueSource::Cache(value_type), ..self }
    }

    fn name(&self) -> String {
        let Case { heads, kv_heads, key_size, value_size, key_type, sequences, .. } = self;
        format!("{heads}/{kv_heads} heads of {key_size}/{value_size} {key_type}, sequences {sequences:?}")
    }

    fn spec(&self) -> AttentionSpec {
        AttentionSpec {
            heads: self.heads,
            kv_heads: self.kv_heads,
            key_size: self.key_size,
            value_size: self.value_size,
            scale: 1.3 / (self.key_size as f32).sqrt(),
            window: self.window,
            softcap: self.softcap,
            alibi_max_bias: self.alibi,
            sinks: self.sinks.then(|| (0..self.heads).map(|h| h as f32 * 0.3 - 1.0).collect()),
            key_type: self.key_type,
            values: self.values,
            block_tokens: self.block_tokens,
        }
    }
}

/// Numbers between -2 and 2 that look random but are the same each time.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let mut state = (seed as u32).wrapping_mul(2_654_435_761).wrapping_add(97);
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 2.0
    })
    .take(count)
    .collect()
}

/// A batch in memory: queries, keys and values of all tokens, and blocks in shuffled order.
struct Batch {
    case: Case,
    /// Keys and values of each sequence, from position 0.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
    blocks: Vec<Vec<u32>>,
}

impl Batch {
    fn new(case: Case) -> Batch {
        let (mut keys, mut values, mut queries, mut blocks) = (vec![], vec![], vec![], vec![]);
        let mut next = 0u32;
        for (s, &(history, new)) in case.sequences.iter().enumerate() {
            let length = history + new;
            keys.push(numbers(length * case.kv_heads * case.key_size, 3 * s + 1));
            values.push(numbers(length * case.kv_heads * case.value_size, 3 * s + 2));
            queries.push(numbers(length * case.heads * case.key_size, 3 * s + 3));
            let count = length.div_ceil(case.block_tokens) as u32;
            blocks.push((next..next + count).collect::<Vec<_>>());
            next += count;
        }
        // A permutation of all blocks: multiply by a number without common divisor.
        let factor = [7919u32, 104_729, 1].into_iter().find(|f| !next.is_multiple_of(*f) || *f == 1).unwrap();
        blocks.iter_mut().flatten().for_each(|b| *b = (u64::from(*b) * u64::from(factor) % u64::from(next)) as u32);
        Batch { case, keys, values, queries, blocks }
    }

    /// Encodes all keys and values and computes the rows of the new tokens in steps of at most `step` tokens.
    fn run(&self, isa: Isa, precision: Precision, threads: usize, step: usize) -> Vec<f32> {
        let case = &self.case;
        let kernel = AttentionKernel::new(case.spec(), precision, isa).unwrap();
        let count = self.blocks.iter().map(Vec::len).sum::<usize>();
        let mut key_cache = vec![0xA5u8; count * kernel.key_block_bytes()];
        let mut value_cache = vec![0xA5u8; count * kernel.value_block_bytes()];
        let cache = KvLayer { keys: key_cache.as_mut_ptr(), values: value_cache.as_mut_ptr() };
        let mut shared = vec![0u64; kernel.shared_bytes().div_ceil(8) + 8];
        let pool = ThreadPool::new(threads).unwrap();
        let width = case.heads * case.value_size;
        let mut result = vec![Vec::new(); case.sequences.len()];
        // The history in one step, then the new tokens.
        let longest = case.sequences.iter().map(|s| s.1).max().unwrap();
        let mut spans: Vec<Vec<Range<usize>>> = vec![case.sequences.iter().map(|s| 0..s.0).collect()];
        for start in (0..longest).step_by(step) {
            let part = |s: &(usize, usize)| s.0 + start.min(s.1)..s.0 + (start + step).min(s.1);
            spans.push(case.sequences.iter().map(part).collect());
        }
        for (number, span) in spans.iter().enumerate() {
            let mut runs = Vec::new();
            let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
            let mut row = 0;
            for (s, positions) in span.iter().enumerate().filter(|(_, positions)| !positions.is_empty()) {
                let rows = |data: &[f32], width: usize| data[positions.start * width..positions.end * width].to_vec();
                q.extend(rows(&self.queries[s], case.heads * case.key_size));
                k.extend(rows(&self.keys[s], case.kv_heads * case.key_size));
                v.extend(rows(&self.values[s], case.kv_heads * case.value_size));
                let tokens = row..row + positions.len();
                row = tokens.end;
                runs.push(Run { tokens, first_position: positions.start, blocks: &self.blocks[s], slot: 0 });
            }
            let mut out = vec![f32::NAN; row * width];
            let input =
                |data: &[f32], width| InputRows { data: data.as_ptr(), stride: width, tokens: row, index: None };
            let inputs = Pointers {
                query: input(&q, case.heads * case.key_size),
                key: input(&k, case.kv_heads * case.key_size),
                value: input(&v, case.kv_heads * case.value_size),
                out: OutputRows { data: out.as_mut_ptr(), stride: width, index: None },
                cache,
                shared: shared.as_mut_ptr().wrapping_add(7 - shared.as_ptr().addr() / 8 % 8).wrapping_add(1).cast(),
            };
            let (store, attend) = (WorkCounter::default(), WorkCounter::default());
            pool.run(&|worker| {
                let inputs = &inputs;
                let mut scratch = vec![0xFFu8; kernel.scratch_bytes()];
                for tokens in worker.chunks(&store, row, 3, Sharing::Chunks) {
                    // SAFETY: rows for all runs, a cache with all blocks, each token once.
                    unsafe { kernel.store(&inputs.cache, &runs, inputs.key, inputs.value, tokens) };
                }
                worker.barrier();
                for piece in worker.chunks(&attend, kernel.pieces(&runs), 1, Sharing::Chunks).flatten() {
                    let (cache, query, out, shared) = (inputs.cache, inputs.query, inputs.out, inputs.shared);
                    let step = Attend { cache, runs: &runs, query, out, shared };
                    // SAFETY: as above; shared and scratch have the kernel's sizes.
                    unsafe { kernel.run(&step, piece, &mut scratch) };
                }
            });
            if number > 0 {
                let sequences = span.iter().enumerate().filter(|(_, positions)| !positions.is_empty());
                for ((s, _), run) in sequences.zip(&runs) {
                    result[s].extend_from_slice(&out[run.tokens.start * width..run.tokens.end * width]);
                }
            }
        }
        result.concat()
    }

    /// The same in F64 over the whole history of each token; keys and values go through the cache type first.
    fn exact(&self) -> Vec<f64> {
        let case = &self.case;
        let spec = case.spec();
        let through = |cache_type: TensorType, data: &[f32], size: usize| -> Vec<f32> {
            let mut result = Vec::new();
            for row in data.chunks_exact(size) {
                let mut bytes = vec![0; cache_type.row_bytes(size).unwrap()];
                let mut decoded = vec![0.0; size];
                ascua_quant::format(cache_type).encode_row(row, &mut bytes).unwrap();
                ascua_quant::format(cache_type).decode_row(&bytes, &mut decoded).unwrap();
                result.extend(decoded);
            }
            result
        };
        let slopes = spec.alibi_max_bias.map(|max| ascua_graph::ops::alibi_slopes(case.heads, max));
        let mut result = Vec::new();
        for (s, &(history, new)) in case.sequences.iter().enumerate() {
            let keys = through(case.key_type, &self.keys[s], case.key_size);
            let values = match case.values {
                ValueSource::Cache(value_type) => through(value_type, &self.values[s], case.value_size),
                ValueSource::KeyPrefix => {
                    keys.chunks_exact(case.key_size).flat_map(|row| row[..case.value_size].to_vec()).collect()
                }
            };
            for position in history..history + new {
                let first = case.window.map_or(0, |window| (position + 1).saturating_sub(window));
                for head in 0..case.heads {
                    let kv = head / (case.heads / case.kv_heads);
                    let q = &self.queries[s][(position * case.heads + head) * case.key_size..][..case.key_size];
                    let score = |p: usize| {
                        let k = &keys[(p * case.kv_heads + kv) * case.key_size..][..case.key_size];
                        let dot: f64 = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                        let mut score = dot * f64::from(spec.scale);
                        if let Some(limit) = spec.softcap {
                            score = f64::from(limit) * (score / f64::from(limit)).tanh();
                        }
                        score - slopes.as_ref().map_or(0.0, |s| f64::from(s[head]) * (position - p) as f64)
                    };
                    let scores: Vec<f64> = (first..=position).map(score).collect();
                    let sink = spec.sinks.as_ref().map(|sinks| f64::from(sinks[head]));
                    let largest = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = scores.iter().copied().chain(sink).map(|s| (s - largest).exp()).sum();
                    let mut out = vec![0.0; case.value_size];
                    for (score, p) in scores.iter().zip(first..) {
                        let v = &values[(p * case.kv_heads + kv) * case.value_size..][..case.value_size];
                        let weight = (score - largest).exp() / total;
                        out.iter_mut().zip(v).for_each(|(y, v)| *y += weight * f64::from(*v));
                    }
                    result.extend(out);
                }
            }
        }
        result
    }
}

/// What the workers share in a test.
struct Pointers<'a> {
    query: InputRows<'a>,
    key: InputRows<'a>,
    value: InputRows<'a>,
    out: OutputRows<'a>,
    cache: KvLayer,
    shared: *mut u8,
}

// SAFETY: the pointers lead to memory that outlives the job; pieces write apart.
unsafe impl Sync for Pointers<'_> {}

/// The levels whose products may be of integers, if the machine has them.
fn integers() -> impl Iterator<Item = (Isa, Precision)> {
    let have_integers = |isa: &Isa| matches!(isa, Isa::Avx512Vnni | Isa::Avx512Zen4);
    Isa::available().into_iter().filter(have_integers).map(|isa| (isa, Precision::Quantised))
}

/// What an element may be off by.
fn allowed(precision: Precision) -> f64 {
    match precision {
        // F32 rounding of scores of a few units: their exponentials are off by about 1e-6 of themselves.
        Precision::Exact => 4e-6,
        Precision::Quantised => 1e-3,
    }
}

/// A case at every level against F64, and with the batch cut in other ways and other numbers of threads.
#[track_caller]
fn check(case: Case) {
    check_batch(&Batch::new(case), 1.0);
}

/// The same for a batch whose elements may be off by `factor` times as much as usual.
#[track_caller]
fn check_batch(batch: &Batch, factor: f64) {
    let name = batch.case.name();
    let exact = batch.exact();
    let close = |y: f32, expected: f64, precision| (f64::from(y) - expected).abs() <= factor * allowed(precision);
    let levels = Isa::available().into_iter().map(|isa| (isa, Precision::Exact));
    for (isa, precision) in levels.chain(integers()) {
        let whole = batch.run(isa, precision, 1, usize::MAX);
        assert_eq!(whole.len(), exact.len());
        for (i, (y, e)) in whole.iter().zip(&exact).enumerate() {
            assert!(close(*y, *e, precision), "{name} at {isa}, {precision:?}: element {i} is {y}, should be {e}");
        }
        for threads in [2, 3] {
            let again = batch.run(isa, precision, threads, usize::MAX);
            assert!(
                whole.iter().map(|x| x.to_bits()).eq(again.iter().map(|x| x.to_bits())),
                "{name} at {isa}: {threads} threads differ"
            );
        }
    }
    for step in [1, 7] {
        let levels = [Isa::Scalar, Isa::detect()].map(|isa| (isa, Precision::Exact));
        for (isa, precision) in levels.into_iter().chain(integers()) {
            // Steps interleave the sequences; compare as sets of rows in sequence order.
            for (i, (y, e)) in batch.run(isa, precision, 2, step).iter().zip(&exact).enumerate() {
                let name = format!("{name} at {isa}, {precision:?}, by steps of {step}");
                assert!(close(*y, *e, precision), "{name}: element {i} is {y}, should be {e}");
            }
        }
    }
}

#[test]
fn head_sizes_and_groups() {
    for size in [1, 3, 16, 24, 64, 80, 96, 100, 128, 192, 256] {
        check(Case::new(4, 2, size, &[(0, 19), (5, 3)]));
    }
    for (heads, kv_heads) in [(1, 1), (3, 1), (9, 3), (8, 2), (16, 2), (17, 1), (71, 1), (130, 2)] {
        check(Case::new(heads, kv_heads, 32, &[(0, 9), (40, 1)]));
    }
    check(Case { key_size: 48, value_size: 20, ..Case::new(6, 2, 48, &[(3, 30)]) });
}

#[test]
fn long_histories_are_cut_into_parts() {
    // Emulated machines take a minute for each of these.
    let heads: &[_] = if cfg!(target_arch = "x86_64") { &[(3, 1), (8, 8), (20, 1)] } else { &[(3, 1)] };
    for &(heads, kv_heads) in heads {
        check(Case::new(heads, kv_heads, 16, &[(1030, 4)]));
        check(Case::new(heads, kv_heads, 16, &[(700, 2), (3, 5)]));
    }
}

#[test]
fn prompts_longer_than_a_tile() {
    check(Case::new(3, 1, 16, &[(0, 150)]));
    check(Case::new(2, 2, 16, &[(70, 130), (0, 65), (1, 64)]));
}

#[test]
fn windows() {
    for window in [1, 2, 10, 64, 100, 1000] {
        check(Case { window: Some(window), ..Case::new(3, 1, 16, &[(0, 140), (90, 1)]) });
        check(Case { window: Some(window), ..Case::new(2, 1, 16, &[(600, 2)]) });
    }
}

#[test]
fn softcap_alibi_and_sinks() {
    let case = Case::new(6, 2, 32, &[(0, 70), (30, 1), (3, 2)]);
    check(Case { softcap: Some(3.0), ..case.clone() });
    check(Case { alibi: Some(8.0), ..case.clone() });
    check(Case { sinks: true, ..case.clone() });
    let case = Case { softcap: Some(5.0), alibi: Some(8.0), sinks: true, window: Some(20), ..case };
    check(case.clone());
    check(Case { sequences: vec![(700, 3)], window: None, ..case });
}

#[test]
fn cache_types() {
    let types =
        [TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q8_0, TensorType::Q4_0, TensorType::Q5_1];
    for key_type in types {
        for value_type in types {
            check(Case::new(6, 2, 64, &[(20, 11), (50, 1)]).types(key_type, value_type));
        }
    }
    for cache_type in [TensorType::F16, TensorType::BF16] {
        check(Case::new(6, 2, 37, &[(20, 11), (50, 1)]).types(cache_type, cache_type));
    }
    check(Case { block_tokens: 1, ..Case::new(2, 1, 32, &[(20, 11)]) });
    check(Case { block_tokens: 100, ..Case::new(2, 1, 32, &[(120, 11)]) });
}

#[test]
fn values_can_be_a_prefix_of_the_keys() {
    for cache_type in [TensorType::F32, TensorType::F16, TensorType::Q8_0] {
        for sequences in [&[(40, 1)][..], &[(0, 30)]] {
            let case = Case::new(20, 1, 96, sequences).types(cache_type, cache_type);
            check(Case { value_size: 64, values: ValueSource::KeyPrefix, ..case });
        }
    }
}

#[test]
fn large_elements_and_zeros() {
    let mut batch = Batch::new(Case::new(6, 2, 48, &[(0, 90), (20, 11)]));
    // A bias as large as models have on a few elements of their keys: it is the same for all keys, so it changes nothing.
    batch.keys.iter_mut().flatten().skip(5).step_by(48).for_each(|k| *k += 200.0);
    batch.keys[0][2 * 48..4 * 48].fill(0.0);
    batch.queries[0][6 * 48..8 * 48].fill(0.0);
    check_batch(&batch, 20.0);

    let mut batch = Batch::new(Case::new(6, 2, 48, &[(0, 90), (20, 11)]));
    batch.keys.iter_mut().flatten().for_each(|k| *k = 0.0);
    batch.values.iter_mut().flatten().for_each(|v| *v *= 1e-6);
    check_batch(&batch, 1e-6);
}

#[test]
fn what_is_not_a_number_reaches_the_rows_that_see_it_and_no_other_elements() {
    let mut batch = Batch::new(Case::new(2, 1, 16, &[(0, 70)]));
    batch.values[0][30 * 16 + 3] = f32::NAN;
    let levels = Isa::available().into_iter().map(|isa| (isa, Precision::Exact));
    for (isa, precision) in levels.chain(integers()) {
        let out = batch.run(isa, precision, 1, usize::MAX);
        for (i, y) in out.iter().enumerate() {
            let (position, element) = (i / 32, i % 16);
            // Rows before it may share its tile, where it meets a weight of zero.
            let right = if element == 3 { position < 30 || y.is_nan() } else { y.is_finite() };
            assert!(right, "{isa}, {precision:?}: element {element} at position {position} is {y}");
        }
    }
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let spec = Case::new(6, 2, 48, &[]).spec();
    let refused =
        |spec: AttentionSpec| AttentionKernel::new(spec, Precision::Exact, Isa::Scalar).unwrap_err().to_string();
    for (spec, message) in [
        (AttentionSpec { kv_heads: 4, ..spec.clone() }, "6 query heads cannot share 4 key heads"),
        (AttentionSpec { kv_heads: 0, ..spec.clone() }, "6 query heads cannot share 0 key heads"),
        (
            AttentionSpec { key_type: TensorType::Q8_0, ..spec.clone() },
            "a head of 48 elements is not whole blocks of 32 elements, as Q8_0 needs",
        ),
        (
            AttentionSpec { value_size: 50, values: ValueSource::KeyPrefix, ..spec.clone() },
            "values of 50 elements cannot be a prefix of keys of 48",
        ),
        (AttentionSpec { sinks: Some(vec![0.0; 3]), ..spec.clone() }, "3 attention sinks for 6 query heads"),
        (AttentionSpec { block_tokens: 0, ..spec.clone() }, "a cache block must hold at least one token"),
    ] {
        assert_eq!(refused(spec), message);
    }
}
