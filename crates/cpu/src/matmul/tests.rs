//! Every type on every level of this machine against a plain product of decoded weights in F64.

mod extremes;
mod outliers;

use ascua_gguf::TensorType;

use super::{InputRows, MatmulKernel, OutputRows, Precision};
use crate::isa::Isa;
use crate::scales::group_factors;

// Machines other than x86 are emulated in CI, so they meet the tails only.
const ALL_TOKENS: &[usize] =
    if cfg!(target_arch = "x86_64") { &[1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33] } else { &[1, 2, 3, 7, 17] };
const ALL_ROWS: &[usize] = if cfg!(target_arch = "x86_64") { &[1, 3, 4, 7, 64, 65] } else { &[1, 4, 7] };
const ALL_COLS: &[usize] =
    if cfg!(target_arch = "x86_64") { &[32, 64, 96, 256, 288, 576, 768, 2304] } else { &[32, 96, 256, 320, 512] };
/// Of types without blocks.
const ODD_COLS: &[usize] = &[1, 7, 13, 35, 300];

/// A matrix of one type and the activations it meets.
struct Case {
    weight: TensorType,
    rows: usize,
    cols: usize,
    tokens: usize,
    bytes: Vec<u8>,
    x: Vec<f32>,
}

/// A small generator, so that every run tests the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1..1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Random blocks: every bit is random but those of the scales, which are of ordinary size.
fn random_blocks(weight: TensorType, elements: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0u8; weight.row_bytes(elements).expect("whole blocks")];
    bytes.fill_with(|| random.next() as u8);
    let halves = half_offsets(weight);
    for block in bytes.chunks_exact_mut(weight.block_bytes()) {
        let small = random.unit() * 0.01 + 0.02;
        match weight {
            TensorType::F32 | TensorType::Q8_K => block[..4].copy_from_slice(&small.to_le_bytes()),
            TensorType::F64 => block.copy_from_slice(&f64::from(small).to_le_bytes()),
            TensorType::BF16 => block.copy_from_slice(&small.to_le_bytes()[2..]),
            TensorType::MXFP4 => block[0] = 118 + block[0] % 8,
            TensorType::NVFP4 => block[..4].iter_mut().for_each(|scale| *scale = 16 + *scale % 64),
            TensorType::IQ1_M => {
                (0..4).for_each(|i| block[49 + 2 * i] = (block[49 + 2 * i] & 15) | [0, 0, 8, 2][i] << 4)
            }
            TensorType::I8 | TensorType::I16 | TensorType::I32 | TensorType::I64 => {}
            _ => {
                for at in halves {
                    let bits =
                        half::f16::from_f32(random.unit() * 0.01 + 0.02).to_bits() ^ (random.next() as u16 & 0x8000);
                    block[*at..at + 2].copy_from_slice(&bits.to_le_bytes());
                }
            }
        }
    }
    bytes
}

/// Where a type's blocks keep half-precision numbers.
fn half_offsets(weight: TensorType) -> &'static [usize] {
    match weight {
        TensorType::Q4_1 | TensorType::Q5_1 | TensorType::Q4_K | TensorType::Q5_K | TensorType::Q8_1 => &[0, 2],
        TensorType::Q2_K => &[80, 82],
        TensorType::Q3_K => &[108],
        TensorType::Q6_K => &[208],
        TensorType::TQ1_0 => &[52],
        TensorType::TQ2_0 => &[64],
        _ => &[0],
    }
}

fn case(weight: TensorType, rows: usize, cols: usize, tokens: usize) -> Case {
    let mut random = Random((rows * 31 + cols * 7 + tokens) as u64);
    let bytes = random_blocks(weight, rows * cols, &mut random);
    // Some are larger, though no outliers.
    let x = (0..tokens * cols).map(|i| random.unit() * if i % 37 == 0 { 3.0 } else { 1.0 }).collect();
    Case { weight, rows, cols, tokens, bytes, x }
}

fn decode(case: &Case) -> Vec<f32> {
    let mut decoded = vec![0.0; case.rows * case.cols];
    let row_bytes = case.weight.row_bytes(case.cols).expect("whole blocks");
    for (row, bytes) in decoded.chunks_exact_mut(case.cols).zip(case.bytes.chunks_exact(row_bytes)) {
        ascua_quant::format(case.weight).decode_row(bytes, row).expect("rows are whole");
    }
    decoded
}

/// The product in F64, and for each result the norm product that bounds rounding.
fn reference(case: &Case, x: &[f32]) -> Vec<(f64, f64)> {
    let weights = decode(case);
    let mut out = Vec::new();
    for x in x.chunks_exact(case.cols) {
        for w in weights.chunks_exact(case.cols) {
            let dot = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            out.push((dot, norm(w) * norm(x)));
        }
    }
    out
}

/// Runs the product in chunks of rows, as threads would.
fn run(case: &Case, precision: Precision, isa: Isa, chunk: usize) -> Vec<f32> {
    let kernel = MatmulKernel::new(case.weight, case.rows, case.cols, precision, isa).expect("supported");
    let layout = kernel.activation();
    let mut prepared = Lines::new(layout.bytes(case.tokens));
    let x = InputRows { data: case.x.as_ptr(), stride: case.cols, tokens: case.tokens, index: None };
    for piece in 0..layout.pieces(case.tokens) {
        // SAFETY: x and prepared have the sizes the layout asks for.
        unsafe { layout.prepare(x, piece, prepared.as_mut_ptr()) };
    }
    let mut out = vec![f32::NAN; case.tokens * case.rows];
    let mut scratch = vec![0xaa; kernel.scratch_bytes()];
    for first in (0..case.rows).step_by(chunk) {
        let rows = first..case.rows.min(first + chunk);
        let out = OutputRows { data: out.as_mut_ptr(), stride: case.rows, index: None };
        // SAFETY: the activations were just prepared and `out` has all rows of all tokens.
        unsafe { kernel.run(&case.bytes, prepared.as_ptr(), case.tokens, rows, out, &mut scratch) };
    }
    out
}

/// Bytes aligned to a cache line.
struct Lines(Vec<[u8; 64]>, usize);

impl Lines {
    fn new(bytes: usize) -> Lines {
        // An alignment of 64 is found by skipping within one line more than needed.
        let lines = vec![[0xcc; 64]; bytes.div_ceil(64) + 1];
        let skip = lines.as_ptr().cast::<u8>().align_offset(64);
        Lines(lines, skip)
    }

    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast::<u8>().wrapping_add(self.1)
    }

    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr().cast::<u8>().wrapping_add(self.1)
    }
}

fn shapes(weight: TensorType) -> impl Iterator<Item = (usize, usize, usize)> {
    let cols = ALL_COLS.iter().chain(ODD_COLS).filter(move |cols| cols.is_multiple_of(weight.block_len()));
    // Every pairing of two of the three, which meets every tail with every other.
    cols.enumerate().flat_map(|(i, cols)| {
        ALL_ROWS.iter().enumerate().flat_map(move |(j, rows)| {
            ALL_TOKENS
                .iter()
                .enumerate()
                .filter(move |(k, _)| (i + j + k) % 2 == 0)
                .map(move |(_, t)| (*rows, *cols, *t))
        })
    })
}

fn check(case: &Case, found: &[f32], expected: &[(f64, f64)], tolerance: f64, what: &str) {
    for (i, (found, (expected, bound))) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= tolerance * bound,
            "{what} {}, {} rows of {}, {} tokens: result {i} is {found}, not {expected}: error {error:e} of {bound:e}",
            case.weight,
            case.rows,
            case.cols,
            case.tokens
        );
    }
}

#[test]
fn exact_products_of_every_type_and_level_agree_with_f64() {
    for weight in TensorType::ALL {
        for (rows, cols, tokens) in shapes(*weight) {
            let case = case(*weight, rows, cols, tokens);
            let expected = reference(&case, &case.x);
            for isa in Isa::available() {
                let found = run(&case, Precision::Exact, isa, rows);
                check(&case, &found, &expected, tolerance(*weight, Precision::Exact), isa.name());
            }
        }
    }
}

#[test]
fn exact_prompts_cross_tiles_of_rows_and_turns_of_tokens() {
    for (weight, cols) in [(TensorType::F32, 257), (TensorType::F16, 129), (TensorType::Q4_0, 288)] {
        let case = case(weight, 101, cols, 531);
        let expected = reference(&case, &case.x);
        for isa in Isa::available() {
            let found = run(&case, Precision::Exact, isa, case.rows);
            check(&case, &found, &expected, tolerance(weight, Precision::Exact), isa.name());
        }
    }
}

/// The activations a quantised product sees at a level, brought back to floats; none where it sees them as they are.
fn as_quantised(case: &Case, isa: Isa) -> Option<Vec<f32>> {
    let kernel = MatmulKernel::new(case.weight, case.rows, case.cols, Precision::Quantised, isa);
    let layout = kernel.expect("supported").activation().as_int8(case.tokens)?;
    let levels = if layout.uses_panels(case.tokens) { layout.panels.largest() } else { 127.0 };
    let round = |group: &[f32]| {
        let largest = group.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        let (scale, inverse) = group_factors(largest, levels);
        group.iter().map(move |x| scale * (x * inverse).round_ties_even()).collect::<Vec<f32>>()
    };
    let row = |x: &[f32]| x.chunks(layout.group.len()).flat_map(round).collect::<Vec<f32>>();
    Some(case.x.chunks(case.cols).flat_map(row).collect())
}

/// What the quantised products of a case come to.
struct Expected {
    /// With the integers of the plain kernel.
    plain: Vec<(f64, f64)>,
    /// At levels that see other activations: AVX-512 without dot products keeps floats for some types, and products by
    /// Winograd's way have integers of their own.
    others: Vec<(Isa, Vec<(f64, f64)>)>,
}

impl Expected {
    /// By the activations that a level sees.
    fn new(case: &Case, seen: impl Fn(Isa) -> Vec<f32>) -> Expected {
        let plain = seen(Isa::Scalar);
        let mut others = Vec::new();
        for isa in [Isa::Avx512, Isa::Avx512Zen4].into_iter().filter(|isa| isa.is_available()) {
            let x = seen(isa);
            if x != plain {
                others.push((isa, reference(case, &x)));
            }
        }
        Expected { plain: reference(case, &plain), others }
    }

    fn at(&self, isa: Isa) -> &[(f64, f64)] {
        self.others.iter().find(|(level, _)| *level == isa).map_or(&self.plain, |(_, expected)| expected)
    }
}

/// Relative to the operands' norms, as the product sees them.
fn tolerance(weight: TensorType, precision: Precision) -> f64 {
    match (precision, weight) {
        (Precision::Exact, _) => 1e-6,
        // Prompts round both operands to half a step of 1/4095 of a group's largest.
        (Precision::Quantised, TensorType::F16 | TensorType::BF16) => 4e-4,
        // Their prompts round offsets to 16 bits of the largest that a super-block can have.
        (Precision::Quantised, TensorType::Q4_K | TensorType::Q5_K) => 8e-6,
        (Precision::Quantised, _) => 2e-6,
    }
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn quantised_products_of_every_type_and_level_agree_with_f64_on_the_same_integers() {
    for weight in TensorType::ALL {
        for (rows, cols, tokens) in shapes(*weight) {
            let case = case(*weight, rows, cols, tokens);
            let expected = Expected::new(&case, |isa| {
                let Some(seen) = as_quantised(&case, isa) else { return case.x.clone() };
                let difference: Vec<f32> = seen.iter().zip(&case.x).map(|(a, b)| a - b).collect();
                // A step of 1/112 of the largest or less, evenly distributed: 1/(112 sqrt(12)) of it.
                assert!(norm(&difference) < 0.02 * norm(&case.x), "{weight}: activations lost too much");
                seen
            });
            for isa in Isa::available() {
                let found = run(&case, Precision::Quantised, isa, rows);
                check(&case, &found, expected.at(isa), tolerance(*weight, Precision::Quantised), isa.name());
            }
        }
    }
}

#[test]
fn activations_that_are_not_finite_show_in_their_token_only() {
    for weight in [TensorType::F32, TensorType::BF16, TensorType::Q4_0, TensorType::Q4_K, TensorType::Q6_K] {
        for isa in Isa::available() {
            for precision in [Precision::Exact, Precision::Quantised] {
                for tokens in [2, 17] {
                    for poison in [f32::NAN, f32::INFINITY] {
                        let mut case = case(weight, 5, 256, tokens);
                        case.x[256 + 100] = poison;
                        let out = run(&case, precision, isa, 5);
                        for (i, y) in out.iter().enumerate() {
                            assert_eq!(y.is_finite(), i / 5 != 1, "{weight} {isa} {poison}: result {i} is {y}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn room_for_many_tokens_is_room_for_fewer() {
    for weight in TensorType::ALL {
        for cols in [32usize, 64, 128, 256, 288].into_iter().filter(|cols| cols.is_multiple_of(weight.block_len())) {
            for isa in Isa::available() {
                for precision in [Precision::Exact, Precision::Quantised] {
                    let kernel = MatmulKernel::new(*weight, 4, cols, precision, isa).expect("supported");
                    for tokens in 1..40 {
                        let (fewer, more) = [tokens, tokens + 1].map(|t| kernel.activation().bytes(t)).into();
                        assert!(fewer <= more, "{weight} {isa}, {cols} columns, {tokens} tokens: {fewer}, then {more}");
                    }
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_split_of_rows() {
    for weight in TensorType::ALL {
        for isa in Isa::available() {
            for precision in [Precision::Exact, Precision::Quantised] {
                for tokens in [1, 3, 8, 17] {
                    let case = case(*weight, 65, 768, tokens);
                    let whole = run(&case, precision, isa, 65);
                    for chunk in [1, 5, 16, 48] {
                        assert_eq!(whole, run(&case, precision, isa, chunk), "{weight} {isa} in chunks of {chunk}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_token_alone_and_in_a_batch_give_the_same() {
    const COLS: usize = 768;
    for weight in TensorType::ALL {
        for isa in Isa::available() {
            for precision in [Precision::Exact, Precision::Quantised] {
                let batch = case(*weight, 7, COLS, 33);
                let bounds = reference(&batch, &batch.x);
                let together = run(&batch, precision, isa, 7);
                let kernel = MatmulKernel::new(*weight, 7, COLS, precision, isa).expect("supported");
                let (one, many) = (kernel.activation().as_int8(1), kernel.activation().as_int8(33));
                // Many may have fewer levels, or none at all.
                let other_levels = many.map_or(one.is_some(), |many| many.panels.largest() < 127.0);
                for token in [0, 16, 32] {
                    let x = batch.x[token * COLS..(token + 1) * COLS].to_vec();
                    let alone = run(&Case { tokens: 1, x, bytes: batch.bytes.clone(), ..batch }, precision, isa, 7);
                    for (row, alone) in alone.into_iter().enumerate() {
                        let (together, bound) = (together[token * 7 + row], bounds[token * 7 + row].1);
                        let difference = f64::from((together - alone).abs());
                        let allowed = if other_levels { 2e-3 } else { 2.0 * tolerance(*weight, precision) };
                        assert!(difference <= allowed * bound, "{weight} {isa} token {token}: {together} and {alone}");
                    }
                }
            }
        }
    }
}

#[test]
fn tokens_are_read_and_written_where_their_indices_say() {
    let (rows, cols) = (5, 256);
    for weight in [TensorType::F32, TensorType::F16, TensorType::Q4_K, TensorType::Q8_0] {
        for isa in Isa::available() {
            for tokens in [3, 20] {
                let case = case(weight, rows, cols, tokens);
                let plain = run(&case, Precision::Quantised, isa, rows);
                let kernel = MatmulKernel::new(weight, rows, cols, Precision::Quantised, isa).expect("supported");
                let layout = kernel.activation();
                let mut prepared = Lines::new(layout.bytes(tokens));
                let from: Vec<u32> = (0..tokens as u32).rev().collect();
                let to: Vec<u32> = (0..tokens as u32).map(|t| (t + 1) % tokens as u32).collect();
                let x = InputRows { data: case.x.as_ptr(), stride: cols, tokens, index: Some(&from) };
                let mut out = vec![f32::NAN; tokens * rows];
                let mut scratch = vec![0; kernel.scratch_bytes()];
                // SAFETY: all buffers have the sizes the kernel asks for, and the indices lie within them.
                unsafe {
                    for piece in 0..layout.pieces(tokens) {
                        layout.prepare(x, piece, prepared.as_mut_ptr());
                    }
                    let out = OutputRows { data: out.as_mut_ptr(), stride: rows, index: Some(&to) };
                    kernel.run(&case.bytes, prepared.as_ptr(), tokens, 0..rows, out, &mut scratch);
                }
                for token in 0..tokens {
                    let (from, to) = (from[token] as usize, to[token] as usize);
                    assert_eq!(out[to * rows..][..rows], plain[from * rows..][..rows], "{weight} {isa} token {token}");
                }
            }
        }
    }
}

#[test]
fn chunks_of_rows_are_even_among_threads() {
    let kernel = |rows, cols| MatmulKernel::new(TensorType::Q4_1, rows, cols, Precision::Quantised, Isa::Scalar);
    // (rows, columns, tokens, threads) and the chunk.
    for ((rows, cols, tokens, threads), expected) in [
        ((576, 576, 1, 2), 144),
        ((49152, 576, 1, 2), 184),
        ((2048, 8192, 1, 4), 16),
        ((3, 32, 1, 8), 4),
        ((576, 576, 512, 2), 96),
        ((2048, 2048, 512, 2), 96),
        ((64, 2048, 512, 4), 24),
        ((0, 32, 1, 2), 4),
    ] {
        let chunk = kernel(rows, cols).expect("supported").row_chunk(tokens, threads);
        assert_eq!(chunk, expected, "{rows} rows of {cols}, {tokens} tokens, {threads} threads");
    }
}
