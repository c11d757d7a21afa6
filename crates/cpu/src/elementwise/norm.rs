//! RMS norm and layer norm of one row.
//!
//! Squares are summed in four vectors (32 to 64 partial sums), which keeps the error near one unit in the last place.

use crate::lanes::{Kernel, Lanes};

pub(super) struct RmsNorm {
    pub(super) x: *const f32,
    pub(super) weight: Option<*const f32>,
    pub(super) epsilon: f32,
    pub(super) n: usize,
    pub(super) out: *mut f32,
}

impl Kernel for RmsNorm {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: rows of `n` elements, says the caller.
        unsafe {
            let mean = sum::<V, true>(self.x, V::splat(0.0), self.n) / self.n as f32;
            let factor = 1.0 / (mean + self.epsilon).sqrt();
            normalise::<V>(self.x, self.n, 0.0, factor, self.weight, None, self.out);
        }
    }
}

pub(super) struct LayerNorm {
    pub(super) x: *const f32,
    pub(super) weight: Option<*const f32>,
    pub(super) bias: Option<*const f32>,
    pub(super) epsilon: f32,
    pub(super) n: usize,
    pub(super) out: *mut f32,
}

impl Kernel for LayerNorm {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: rows of `n` elements, says the caller.
        unsafe {
            let mean = sum::<V, false>(self.x, V::splat(0.0), self.n) / self.n as f32;
            // From the mean itself: the difference of mean squares would cancel.
            let variance = sum::<V, true>(self.x, V::splat(mean), self.n) / self.n as f32;
            let factor = 1.0 / (variance + self.epsilon).sqrt();
            normalise::<V>(self.x, self.n, mean, factor, self.weight, self.bias, self.out);
        }
    }
}

/// Σ (x - shift), or Σ (x - shift)² if `SQUARE`.
/// # Safety
/// `x` is readable for `n` elements; the machine has the instructions of `V`.
#[inline(always)]
unsafe fn sum<V: Lanes, const SQUARE: bool>(x: *const f32, shift: V, n: usize) -> f32 {
    // SAFETY: whole vectors below `n`, then the rest.
    unsafe {
        let mut sums = [V::splat(0.0); 4];
        let mut i = 0;
        while i + 4 * V::LANES <= n {
            let mut lane = 0;
            while lane < 4 {
                let x = V::load(x.add(i + lane * V::LANES)).sub(shift);
                sums[lane] = if SQUARE { x.mul_add(x, sums[lane]) } else { sums[lane].add(x) };
                lane += 1;
            }
            i += 4 * V::LANES;
        }
        while i + V::LANES <= n {
            let x = V::load(x.add(i)).sub(shift);
            sums[0] = if SQUARE { x.mul_add(x, sums[0]) } else { sums[0].add(x) };
            i += V::LANES;
        }
        let mut total = sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum();
        let shift = shift.maximum();
        while i < n {
            let x = *x.add(i) - shift;
            total += if SQUARE { x * x } else { x };
            i += 1;
        }
        total
    }
}

/// `out = (x - mean) * factor * weight + bias`
/// # Safety
/// All rows are of `n` elements; the machine has the instructions of `V`.
#[inline(always)]
unsafe fn normalise<V: Lanes>(
    x: *const f32,
    n: usize,
    mean: f32,
    factor: f32,
    weight: Option<*const f32>,
    bias: Option<*const f32>,
    out: *mut f32,
) {
    // SAFETY: whole vectors below `n`, then the rest; each element is read before it is written.
    unsafe {
        let (mean, factor) = (V::splat(mean), V::splat(factor));
        let mut i = 0;
        while i + V::LANES <= n {
            let mut y = V::load(x.add(i)).sub(mean).mul(factor);
            if let Some(weight) = weight {
                y = y.mul(V::load(weight.add(i)));
            }
            if let Some(bias) = bias {
                y = y.add(V::load(bias.add(i)));
            }
            y.store(out.add(i));
            i += V::LANES;
        }
        if i < n {
            let left = n - i;
            let mut y = V::load_first(x.add(i), left).sub(mean).mul(factor);
            if let Some(weight) = weight {
                y = y.mul(V::load_first(weight.add(i), left));
            }
            if let Some(bias) = bias {
                y = y.add(V::load_first(bias.add(i), left));
            }
            y.store_first(out.add(i), left);
        }
    }
}
