//! Scales, weights and activations at the ends of their ranges, on every level, inside and outside a worker.

use super::*;
use crate::pool::ThreadPool;

/// The scale of every block of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Largest,
    LargestNegative,
    /// The smallest above zero, which is a subnormal number of its format.
    Smallest,
    Zero,
    Infinite,
}

const FINITE: [Scale; 4] = [Scale::Largest, Scale::LargestNegative, Scale::Smallest, Scale::Zero];

/// Writes a block's scale; where the encoding has no such scale, the nearest it has.
fn set_scale(weight: TensorType, block: &mut [u8], scale: Scale) {
    let single: f32 = match scale {
        Scale::Largest => 1e12,
        Scale::LargestNegative => -1e12,
        Scale::Smallest => f32::from_bits(1),
        Scale::Zero => 0.0,
        Scale::Infinite => f32::INFINITY,
    };
    let half: u16 = match scale {
        Scale::Largest => half::f16::MAX.to_bits(),
        Scale::LargestNegative => half::f16::MIN.to_bits(),
        Scale::Smallest => 1,
        Scale::Zero => 0,
        Scale::Infinite => half::f16::INFINITY.to_bits(),
    };
    match weight {
        TensorType::F32 | TensorType::Q8_K => block[..4].copy_from_slice(&single.to_le_bytes()),
        TensorType::BF16 => block.copy_from_slice(&single.to_le_bytes()[2..]),
        TensorType::F64 => block.copy_from_slice(&f64::from(single).to_le_bytes()),
        TensorType::I8 | TensorType::I16 | TensorType::I32 | TensorType::I64 => {}
        // Powers of two without a sign: the smallest are subnormal in F32.
        TensorType::MXFP4 => block[0] = if matches!(scale, Scale::Smallest | Scale::Zero) { 0 } else { 168 },
        TensorType::NVFP4 => block[..4].fill(match scale {
            Scale::Smallest => 1,
            Scale::Zero => 0,
            _ => 0x7e,
        }),
        // A half in the upper nibbles of four words.
        TensorType::IQ1_M => (0..4).for_each(|i| {
            block[49 + 2 * i] = block[49 + 2 * i] & 15 | ((half >> (4 * i) & 15) << 4) as u8;
        }),
        _ => {
            for at in half_offsets(weight) {
                block[*at..at + 2].copy_from_slice(&half.to_le_bytes());
            }
        }
    }
}

/// A matrix of one repeated pattern of bytes with one scale.
fn extreme(weight: TensorType, tokens: usize, pattern: fn(usize) -> u8, scale: Scale, x: fn(usize) -> f32) -> Case {
    let (rows, cols) = (5, 768);
    let mut bytes = vec![0; rows * weight.row_bytes(cols).expect("whole blocks")];
    bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = pattern(i));
    bytes.chunks_exact_mut(weight.block_bytes()).for_each(|block| set_scale(weight, block, scale));
    Case { weight, rows, cols, tokens, bytes, x: (0..tokens * cols).map(x).collect() }
}

/// The largest weight that any of the patterns makes of a scale.
fn largest_weight(weight: TensorType, scale: Scale) -> f32 {
    let cases = PATTERNS.map(|pattern| extreme(weight, 1, pattern, scale, |_| 0.0));
    cases.iter().flat_map(decode).fold(0.0, |largest: f32, w| largest.max(w.abs()))
}

/// What may be lost where `smallest` is the smallest number above zero: each product of a row may have a factor or a
/// result, or be part of a sum of small integers times a scale, that is not above it.
fn lost(case: &Case, smallest: f32) -> f64 {
    let largest = |values: &[f32]| values.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
    let integers = 128.0 * 128.0;
    f64::from(smallest) * case.cols as f64 * integers * (1.0 + largest(&decode(case)) + largest(&case.x))
}

/// The results to expect, of what the product multiplies with.
fn expectation(case: &Case, precision: Precision) -> Expected {
    let quantised = |isa| if precision == Precision::Quantised { as_quantised(case, isa) } else { None };
    Expected::new(case, |isa| quantised(isa).unwrap_or_else(|| case.x.clone()))
}

/// What a result may be off by: the precision's share of the norms, and an amount.
#[derive(Clone, Copy)]
struct Allowed {
    precision: Precision,
    slack: f64,
}

/// As [`check`], for results that may overflow: then they are infinite or not a number, never merely wrong.
fn check_range(case: &Case, found: &[f32], expected: &[(f64, f64)], allowed: Allowed, what: &str) {
    let Allowed { precision, slack } = allowed;
    let tolerance = 3.0 * tolerance(case.weight, precision);
    let limit = f64::from(f32::MAX);
    let largest_x = case.x.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    // A group's integers may meet the activations before the scale that makes them small, and raised by 1.5 * 2^23.
    let integers_overflow = f64::from(largest_x) * 128.0 * 1024.0 > limit;
    for (i, (found, (expected, bound))) in found.iter().zip(expected).enumerate() {
        let close = (f64::from(*found) - expected).abs() <= tolerance * bound + slack;
        let accepted = if !expected.is_finite() || expected.abs() > limit {
            !found.is_finite()
        } else {
            // Parts of a sum may overflow where the sum does not.
            close || (bound * 128.0 > limit || integers_overflow) && !found.is_finite()
        };
        assert!(accepted, "{what} {}, {} tokens: result {i} is {found}, not {expected}", case.weight, case.tokens);
    }
}

const PATTERNS: [fn(usize) -> u8; 5] =
    [|_| 0x00, |_| 0xff, |_| 0x80, |_| 0x7f, |i| if i.is_multiple_of(2) { 0x0f } else { 0xf0 }];
const ACTIVATIONS: [fn(usize) -> f32; 6] = [
    |_| 1.0,
    |i| if i.is_multiple_of(2) { -3.0 } else { 3.0 },
    |_| -1e-20,
    |i| if i % 64 < 32 { 0.0 } else { 1e20 },
    |i| if i.is_multiple_of(3) { 5e33 } else { -1e33 },
    |i| if i.is_multiple_of(3) { 3e38 } else { -1.0 },
];
const TOKENS: &[usize] = if cfg!(target_arch = "x86_64") { &[1, 4, 17] } else { &[2, 17] };

#[test]
fn extreme_blocks_and_activations_neither_saturate_nor_vanish() {
    for weight in TensorType::ALL {
        // Emulated machines meet one of the patterns.
        let patterns = if cfg!(target_arch = "x86_64") { &PATTERNS[..] } else { &PATTERNS[1..2] };
        for (tokens, pattern) in TOKENS.iter().flat_map(|tokens| patterns.iter().map(|pattern| (*tokens, *pattern))) {
            for (x, scale) in ACTIVATIONS.into_iter().flat_map(|x| FINITE.map(|scale| (x, scale))) {
                let case = extreme(*weight, tokens, pattern, scale, x);
                for precision in [Precision::Exact, Precision::Quantised] {
                    let expected = expectation(&case, precision);
                    // Kernels that store weights unsigned take their zero off in F32.
                    let zero =
                        1e-6 * f64::from(largest_weight(*weight, scale)) * norm(&case.x) * (case.cols as f64).sqrt();
                    let slack = lost(&case, f32::from_bits(1)) + if precision == Precision::Exact { 0.0 } else { zero };
                    for isa in Isa::available() {
                        let found = run(&case, precision, isa, case.rows);
                        let what = format!("{isa} {precision:?} {scale:?}");
                        check_range(&case, &found, expected.at(isa), Allowed { precision, slack }, &what);
                    }
                }
            }
        }
    }
}

/// Workers treat subnormal numbers as zero. That may cost what is subnormal itself, but not the small scales of
/// half-precision blocks, and nothing else may change.
#[test]
fn workers_lose_no_more_than_subnormal_numbers() {
    let pool = ThreadPool::new(1).expect("a pool of the caller");
    let in_worker = |case: &Case, precision, isa| {
        let found = std::sync::Mutex::new(Vec::new());
        pool.run(&|_| *found.lock().expect("one worker") = run(case, precision, isa, case.rows));
        found.into_inner().expect("one worker")
    };
    for weight in TensorType::ALL {
        for tokens in TOKENS {
            for precision in [Precision::Exact, Precision::Quantised] {
                for x in [|i| if i % 5 == 0 { 2.0 } else { -1.0 }, |_| 1e-25, |_| 2e-39] as [fn(usize) -> f32; 3] {
                    let case = extreme(*weight, *tokens, |i| (i * 89) as u8, Scale::Smallest, x);
                    let expected = expectation(&case, precision);
                    let slack = lost(&case, f32::MIN_POSITIVE);
                    for isa in Isa::available() {
                        let found = in_worker(&case, precision, isa);
                        let what = format!("{isa} {precision:?} in a worker");
                        check_range(&case, &found, expected.at(isa), Allowed { precision, slack }, &what);
                    }
                }
                let case = case(*weight, 7, 768, *tokens);
                for isa in Isa::available() {
                    let outside = run(&case, precision, isa, case.rows);
                    assert_eq!(in_worker(&case, precision, isa), outside, "{weight} {isa} {precision:?}");
                }
            }
        }
    }
}

#[test]
fn an_infinite_scale_shows_in_its_row_only() {
    for weight in TensorType::ALL {
        if matches!(weight, TensorType::MXFP4 | TensorType::NVFP4)
            || matches!(weight, TensorType::I8 | TensorType::I16 | TensorType::I32 | TensorType::I64)
        {
            continue; // no infinities
        }
        for tokens in TOKENS {
            let mut case = case(*weight, 7, 512, *tokens);
            let row_bytes = weight.row_bytes(case.cols).expect("whole blocks");
            let last = case.cols / weight.block_len() - 1;
            let block = 2 * row_bytes + last * weight.block_bytes();
            set_scale(*weight, &mut case.bytes[block..block + weight.block_bytes()], Scale::Infinite);
            for isa in Isa::available() {
                for precision in [Precision::Exact, Precision::Quantised] {
                    for (i, y) in run(&case, precision, isa, case.rows).into_iter().enumerate() {
                        assert_eq!(y.is_finite(), i % 7 != 2, "{weight} {isa} {precision:?}: result {i} is {y}");
                    }
                }
            }
        }
    }
}
