use super::*;

/// Odd sizes around the vector lengths, and one long row.
const SIZES: [usize; 12] = [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1003];

/// Numbers between -`range` and `range` that look random but are the same each time.
fn numbers(count: usize, seed: u32, range: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * range
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Runs a kernel at every level and size, out of place and in place, against a reference in F64.
///
/// The error is taken relative to the largest magnitude of the reference row: a few roundings of F32.
fn check(
    name: &str,
    inputs: usize,
    range: f32,
    tolerance: f64,
    kernel: impl Fn(Elementwise, &[*const f32], usize, *mut f32),
    reference: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    for isa in Isa::available() {
        let elementwise = Elementwise::new(isa).unwrap();
        for n in SIZES {
            let rows: Vec<Vec<f32>> = (0..inputs).map(|i| numbers(n, (n * 7 + i) as u32, range)).collect();
            let exact =
                reference(&rows.iter().map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect::<Vec<_>>());
            let pointers: Vec<*const f32> = rows.iter().map(|row| row.as_ptr()).collect();
            // Two guard elements after the row show a write past its end.
            let mut out = vec![7.5f32; n + 2];
            kernel(elementwise, &pointers, n, out.as_mut_ptr());
            assert_eq!(out[n..], [7.5, 7.5], "{name} at {isa} writes past {n} elements");
            let scale = exact.iter().fold(1e-30f64, |m, y| m.max(y.abs()));
            for (i, (y, exact)) in out.iter().zip(&exact).enumerate() {
                let error = (f64::from(*y) - exact).abs() / scale;
                assert!(error <= tolerance, "{name} at {isa}, element {i} of {n}: {y} for {exact}, error {error:e}");
            }
            let mut in_place = rows[0].clone();
            in_place.extend([7.5, 7.5]);
            let mut pointers = pointers;
            let target = in_place.as_mut_ptr();
            pointers[0] = target;
            kernel(elementwise, &pointers, n, target);
            assert_eq!(in_place, out, "{name} at {isa} in place, {n} elements");
        }
    }
}

/// Applies a function of F64 to one row, or to two element by element.
fn map1(f: impl Fn(f64) -> f64) -> impl Fn(&[Vec<f64>]) -> Vec<f64> {
    move |rows| rows[0].iter().map(|x| f(*x)).collect()
}

fn map2(f: impl Fn(f64, f64) -> f64) -> impl Fn(&[Vec<f64>]) -> Vec<f64> {
    move |rows| rows[0].iter().zip(&rows[1]).map(|(a, b)| f(*a, *b)).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn erf(x: f64) -> f64 {
    // Maclaurin; the tests stay where it converges well.
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn exact(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        Activation::GeluErf => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        Activation::GeluQuick => x * sigmoid(1.702 * x),
        Activation::Relu => x.max(0.0),
        Activation::ReluSquared => x.max(0.0).powi(2),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
    }
}

#[test]
fn arithmetic() {
    let factor = f64::from(1.7f32);
    // SAFETY: rows of `n` elements.
    let kernel = |k: Elementwise, x: &[*const f32], n, out| unsafe { k.add(x[0], x[1], n, out) };
    check("add", 2, 3.0, 1e-7, kernel, map2(|a, b| a + b));
    // SAFETY: rows of `n` elements.
    let kernel = |k: Elementwise, x: &[*const f32], n, out| unsafe { k.mul(x[0], x[1], n, out) };
    check("mul", 2, 3.0, 1e-7, kernel, map2(|a, b| a * b));
    // SAFETY: rows of `n` elements.
    let kernel = |k: Elementwise, x: &[*const f32], n, out| unsafe { k.scale(x[0], 1.7, n, out) };
    check("scale", 1, 3.0, 1e-7, kernel, map1(|a| a * factor));
    // SAFETY: rows of `n` elements.
    let kernel = |k: Elementwise, x: &[*const f32], n, out| unsafe { k.scale_add(x[0], 1.7, x[1], n, out) };
    check("scale_add", 2, 3.0, 2e-7, kernel, map2(|a, b| a * factor + b));
    // SAFETY: rows of `n` elements.
    let kernel = |k: Elementwise, x: &[*const f32], n, out| unsafe { k.softcap(x[0], 30.0, n, out) };
    check("softcap", 1, 100.0, 4e-7, kernel, map1(|a| 30.0 * (a / 30.0).tanh()));
}

#[test]
fn activations_and_gates() {
    for &activation in Activation::ALL {
        for range in [0.1, 1.0, 5.0] {
            let name = format!("{activation:?} of {range}");
            check(
                &name,
                1,
                range,
                1e-6,
                // SAFETY: rows of `n` elements.
                |k, x, n, out| unsafe { k.activate(activation, x[0], n, out) },
                map1(|x| exact(activation, x)),
            );
            check(
                &name,
                2,
                range,
                1e-6,
                // SAFETY: rows of `n` elements.
                |k, x, n, out| unsafe { k.gate(activation, x[0], x[1], n, out) },
                map2(|x, up| exact(activation, x) * up),
            );
        }
    }
}

#[test]
fn activations_far_out() {
    for isa in Isa::available() {
        let kernels = Elementwise::new(isa).unwrap();
        for &activation in Activation::ALL {
            let x = [300.0f32, -300.0, 0.0, 1e30, -1e30];
            let mut y = [1.0f32; 5];
            // SAFETY: rows of five elements.
            unsafe { kernels.activate(activation, x.as_ptr(), 5, y.as_mut_ptr()) };
            let expected = match activation {
                Activation::Sigmoid => [1.0, 0.0, 0.5, 1.0, 0.0],
                Activation::Tanh => [1.0, -1.0, 0.0, 1.0, -1.0],
                Activation::ReluSquared => [9e4, 0.0, 0.0, f32::INFINITY, 0.0],
                _ => [300.0, 0.0, 0.0, 1e30, 0.0],
            };
            assert_eq!(y, expected, "{activation:?} at {isa}");
        }
    }
}

#[test]
fn norms() {
    let mean = |row: &[f64], f: &dyn Fn(f64) -> f64| row.iter().map(|x| f(*x)).sum::<f64>() / row.len() as f64;
    for range in [1e-3, 1.0, 1e4] {
        let rms = |row: &[f64]| 1.0 / (mean(row, &|x| x * x) + f64::from(1e-5f32)).sqrt();
        check(
            "rms norm",
            1,
            range,
            4e-7,
            // SAFETY: rows of `n` elements.
            |k, x, n, out| unsafe { k.rms_norm(x[0], None, 1e-5, n, out) },
            |rows| rows[0].iter().map(|x| x * rms(&rows[0])).collect(),
        );
        check(
            "weighted rms norm",
            2,
            range,
            4e-7,
            // SAFETY: rows of `n` elements.
            |k, x, n, out| unsafe { k.rms_norm(x[0], Some(x[1]), 1e-5, n, out) },
            |rows| rows[0].iter().zip(&rows[1]).map(|(x, w)| x * rms(&rows[0]) * w).collect(),
        );
        let normal = |row: &[f64]| -> Vec<f64> {
            let centre = mean(row, &|x| x);
            let factor = 1.0 / (mean(row, &|x| (x - centre).powi(2)) + f64::from(1e-5f32)).sqrt();
            row.iter().map(|x| (x - centre) * factor).collect()
        };
        // A row of one or two elements may cancel; the mean's rounding then shows.
        check(
            "layer norm",
            3,
            range,
            2e-5,
            // SAFETY: rows of `n` elements.
            |k, x, n, out| unsafe { k.layer_norm(x[0], Some(x[1]), Some(x[2]), 1e-5, n, out) },
            |rows| normal(&rows[0]).iter().zip(&rows[1]).zip(&rows[2]).map(|((x, w), b)| x * w + b).collect(),
        );
    }
}

#[test]
fn softmax() {
    for range in [1.0, 80.0, 1e4] {
        check(
            "softmax",
            1,
            range,
            1e-6,
            // SAFETY: rows of `n` elements.
            |k, x, n, out| unsafe { k.softmax(x[0], n, out) },
            |rows| {
                let largest = rows[0].iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = rows[0].iter().map(|x| (x - largest).exp()).sum();
                rows[0].iter().map(|x| (x - largest).exp() / total).collect()
            },
        );
    }
}
