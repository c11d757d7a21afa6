use super::*;

/// Applies one function to a slice, at any level.
struct Apply<'a>(Function, &'a [f32], &'a mut [f32]);

#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    Tanh,
    Sigmoid,
    Erfc,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        for (x, y) in self.1.chunks_exact(V::LANES).zip(self.2.chunks_exact_mut(V::LANES)) {
            // SAFETY: the chunks are whole vectors, and the level is the dispatched one.
            unsafe {
                let x = V::load(x.as_ptr());
                let value = match self.0 {
                    Function::Exp => exp(x),
                    Function::Tanh => tanh(x),
                    Function::Sigmoid => sigmoid(x),
                    Function::Erfc => erfc(x),
                };
                value.store(y.as_mut_ptr());
            }
        }
    }
}

/// erf by its Maclaurin series in F64; erfc by the continued fraction where the series cancels.
fn erfc_f64(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc_f64(-x);
    }
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let fraction = (1..120).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction
}

#[test]
fn functions_agree_with_f64() {
    type Case = (Function, fn(f64) -> f64, f32, f64);
    let cases: [Case; 4] = [
        (Function::Exp, f64::exp, 87.0, 2.0e-7),
        (Function::Tanh, f64::tanh, 20.0, 3.0e-7),
        (Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 80.0, 3.0e-7),
        (Function::Erfc, erfc_f64, 8.0, 1.0e-5),
    ];
    for isa in Isa::available() {
        for (function, exact, range, tolerance) in cases {
            let count = 1 << 16;
            let x: Vec<f32> = (0..count).map(|i| (i as f32 / (count / 2) as f32 - 1.0) * range).collect();
            let mut y = vec![0.0; count];
            // SAFETY: the level is available.
            unsafe { dispatch(isa, Apply(function, &x, &mut y)) };
            let mut worst = (0.0, 0.0);
            for (&x, &y) in x.iter().zip(&y) {
                let expected = exact(f64::from(x));
                let error = ((f64::from(y) - expected) / expected.abs().max(1e-37)).abs();
                if error > worst.0 {
                    worst = (error, x);
                }
            }
            assert!(worst.0 <= tolerance, "{isa} {function:?}: error {:e} at {}", worst.0, worst.1);
        }
    }
}

#[test]
fn functions_at_the_edges() {
    let x = [
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        0.0,
        -200.0,
        200.0,
        88.7,
        -88.0,
        f32::MIN,
        f32::MAX,
        1.0,
        1.0,
        1.0,
        1.0,
        1.0,
        1.0,
    ];
    for isa in Isa::available() {
        for function in [Function::Exp, Function::Tanh, Function::Sigmoid] {
            let mut y = [0.0; 16];
            // SAFETY: the level is available.
            unsafe { dispatch(isa, Apply(function, &x, &mut y)) };
            assert!(y[2].is_nan(), "{isa} {function:?} loses what is not a number");
            let expected = match function {
                Function::Exp => [f32::INFINITY, 0.0, 1.0, 0.0, f32::INFINITY, 0.0],
                Function::Tanh => [1.0, -1.0, 0.0, -1.0, 1.0, -1.0],
                _ => [1.0, 0.0, 0.5, 0.0, 1.0, 0.0],
            };
            assert_eq!([y[0], y[1], y[3], y[4], y[5], y[8]], expected, "{isa} {function:?}");
        }
    }
}

struct Transpose<'a>(&'a [[f32; 16]; 16], &'a mut [[f32; 16]; 16]);

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: all rows have sixteen numbers, and the level is the dispatched one.
        unsafe {
            V::transpose(self.0.each_ref().map(|row| row.as_ptr()), self.1.each_mut().map(|row| row.as_mut_ptr()))
        };
    }
}

#[test]
fn rows_become_columns_at_every_level() {
    let rows: [[f32; 16]; 16] = std::array::from_fn(|i| std::array::from_fn(|j| (100 * i + j) as f32));
    for isa in Isa::available() {
        let mut columns = [[0.0; 16]; 16];
        // SAFETY: the level is one of this machine's.
        unsafe { dispatch(isa, Transpose(&rows, &mut columns)) };
        for (j, column) in columns.iter().enumerate() {
            for (i, value) in column.iter().enumerate() {
                assert_eq!(*value, rows[i][j], "{isa}, row {i}, column {j}");
            }
        }
    }
}
