//! Activations far from the rest of their token, among many tokens.

use super::*;

/// The columns that are outliers of a row, by the plain rule: 6.5 times the root mean square of what is no more than 6
/// times that of all.
fn outliers(row: &[f32]) -> Vec<usize> {
    let mean = |squares: &[f64]| squares.iter().sum::<f64>() / row.len() as f64;
    let mut squares: Vec<f64> = row.iter().map(|x| f64::from(*x).powi(2)).collect();
    let all = mean(&squares);
    if !squares.iter().any(|square| *square > 36.0 * all) {
        return Vec::new();
    }
    let before = squares.clone();
    squares.retain(|square| *square <= 36.0 * all);
    let limit = 6.5 * 6.5 * mean(&squares);
    (0..row.len()).filter(|col| before[*col] > limit).collect()
}

/// Some features are large in every token, some in few; the last token has none.
fn with_outliers(weight: TensorType, cols: usize, tokens: usize) -> Case {
    let mut case = case(weight, 101, cols, tokens);
    let mut random = Random(cols as u64);
    for (token, x) in case.x.chunks_exact_mut(cols).enumerate().take(tokens - 1) {
        for col in [7, 30, cols / 2 + 11, cols - 1] {
            x[col] = if col % 2 == 0 { 60.0 } else { -300.0 } * (1.5 + random.unit());
        }
        x[token * 13 % cols] = 45.0;
    }
    case
}

#[test]
fn outliers_leave_their_neighbours_as_exact_as_without_them() {
    let all_cols = if cfg!(target_arch = "x86_64") { &[288, 512, 768][..] } else { &[512] };
    for weight in TensorType::ALL {
        let some = |cols: &&usize| cols.is_multiple_of(weight.block_len());
        for (cols, tokens) in all_cols.iter().filter(some).flat_map(|cols| [9, 37].map(|tokens| (*cols, tokens))) {
            let case = with_outliers(*weight, cols, tokens);
            let mut rest = Case { x: case.x.clone(), bytes: case.bytes.clone(), ..case };
            let kernel = MatmulKernel::new(*weight, case.rows, cols, Precision::Quantised, Isa::Scalar);
            if kernel.expect("supported").activation().as_int8(tokens).is_none() {
                continue;
            }
            let mut found = 0;
            for x in rest.x.chunks_exact_mut(cols) {
                for col in outliers(x) {
                    x[col] = 0.0;
                    found += 1;
                }
            }
            assert!(found >= 3 * tokens, "{found} outliers of {tokens} tokens");
            // Whatever the integers of the rest are, outliers come on top.
            let expected = Expected::new(&case, |isa| {
                let mut seen = as_quantised(&rest, isa).unwrap_or_else(|| rest.x.clone());
                for ((seen, x), rest) in seen.iter_mut().zip(&case.x).zip(&rest.x) {
                    *seen += x - rest;
                }
                seen
            });
            for isa in Isa::available() {
                let kernel = MatmulKernel::new(case.weight, case.rows, cols, Precision::Quantised, isa);
                let layout = kernel.expect("supported").activation().as_int8(tokens);
                if layout.is_none_or(|layout| layout.uses_panels(tokens)) {
                    let found = run(&case, Precision::Quantised, isa, 48);
                    check(&case, &found, expected.at(isa), tolerance(*weight, Precision::Quantised), isa.name());
                }
            }
        }
    }
}

#[test]
fn a_row_of_as_many_outliers_as_there_can_be_fits_its_panel() {
    // One in 37 elements is far above the others, whose squares vanish in the first case.
    for (far, near) in [(1.0, 1e-25), (1.0, 1e-6), (1.0, 1e-3), (40.0, 1.0)] {
        let mut case = case(TensorType::Q8_0, 3, 2368, 16);
        for (i, x) in case.x.iter_mut().enumerate() {
            // Every token has its own columns.
            *x = if i % 37 == i / 2368 { far } else { near };
        }
        let expected = reference(&case, &case.x);
        for isa in Isa::available() {
            let found = run(&case, Precision::Quantised, isa, 3);
            check(&case, &found, &expected, 0.01, isa.name());
        }
    }
}

#[test]
fn parts_of_outliers_do_not_outlive_their_tile() {
    // More tokens than are computed in one turn and more rows than a tile has, in one call; from the second turn on other
    // tokens of a panel have outliers, and the second panel of a turn has none.
    let (cols, tokens) = (288, 541);
    let mut case = case(TensorType::Q8_0, 101, cols, tokens);
    for (i, x) in case.x.iter_mut().enumerate() {
        let (token, col) = (i / cols, i % cols);
        let turn = token / 512;
        if token / 16 % 2 == 0 && token % 2 == turn && col == (token * 7 + 100 * turn) % cols {
            *x = 60.0;
        }
    }
    let expected = reference(&case, &case.x);
    for isa in Isa::available() {
        let found = run(&case, Precision::Quantised, isa, 101);
        check(&case, &found, &expected, 0.01, isa.name());
    }
}
