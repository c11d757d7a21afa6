//! The products in F32, at any level.

use super::super::Call;
use super::blocks::Blocks;
use super::{Layout, Products};
use crate::lanes::Lanes;

pub(super) struct Float {
    layout: Layout,
    scratch: *mut f32,
    key_size: usize,
    value_size: usize,
}

impl<V: Lanes> Products<V> for Float {
    #[inline(always)]
    unsafe fn new(call: &Call<'_>, layout: &Layout) -> Float {
        let spec = &call.kernel.spec;
        Float { layout: *layout, scratch: call.scratch, key_size: spec.key_size, value_size: spec.value_size }
    }

    #[inline(always)]
    unsafe fn scores(&self, keys: usize, vectors: usize) {
        let layout = &self.layout;
        // SAFETY: the scratch has the layout's size.
        unsafe {
            let product = Product {
                a: self.scratch.add(layout.keys),
                a_row: layout.key_stride,
                a_step: 1,
                rows: keys,
                steps: self.key_size,
                b: self.scratch,
                stride: layout.lanes,
                out: self.scratch.add(layout.scores),
                factors: None,
            };
            Blocks::<V>::run(&product, vectors);
        }
    }

    #[inline(always)]
    unsafe fn add_values(&self, values: *const f32, stride: usize, keys: usize, vectors: usize) {
        let layout = &self.layout;
        // SAFETY: the scratch has the layout's size.
        unsafe {
            let product = Product {
                a: values,
                a_row: 1,
                a_step: stride,
                rows: self.value_size,
                steps: keys,
                b: self.scratch.add(layout.scores),
                stride: layout.lanes,
                out: self.scratch.add(layout.sums),
                factors: Some(self.scratch.add(layout.factors)),
            };
            Blocks::<V>::run(&product, vectors);
        }
    }
}

/// `out[row][lane] = out[row][lane] * factors[lane] + Σ_step a[row][step] * b[step][lane]`, without factors `out` starts at
/// zero. `b` and `out` are `stride` numbers from row to row. Its maker promises `a` and `out` for the rows, rounded up to
/// four, and `b` for all steps.
struct Product {
    a: *const f32,
    /// From one row of `a` to the next, and from one step to the next.
    a_row: usize,
    a_step: usize,
    rows: usize,
    steps: usize,
    b: *const f32,
    stride: usize,
    out: *mut f32,
    factors: Option<*const f32>,
}

impl<V: Lanes> Blocks<V> for Product {
    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    unsafe fn block<const R: usize, const C: usize>(&self, row: usize, lane: usize) {
        // SAFETY: `R` rows from `row` and `C` vectors from `lane` are inside.
        unsafe {
            let (a, b) = (self.a.add(row * self.a_row), self.b.add(lane));
            let out = self.out.add(row * self.stride + lane);
            let mut sums = [[V::splat(0.0); C]; R];
            if let Some(factors) = self.factors {
                let mut r = 0;
                while r < R {
                    let mut c = 0;
                    while c < C {
                        let factor = V::load(factors.add(lane + c * V::LANES));
                        sums[r][c] = V::load(out.add(r * self.stride + c * V::LANES)).mul(factor);
                        c += 1;
                    }
                    r += 1;
                }
            }
            let mut step = 0;
            while step < self.steps {
                let mut right = [V::splat(0.0); C];
                let mut c = 0;
                while c < C {
                    right[c] = V::load(b.add(step * self.stride + c * V::LANES));
                    c += 1;
                }
                let mut r = 0;
                while r < R {
                    let left = V::splat(*a.add(r * self.a_row + step * self.a_step));
                    let mut c = 0;
                    while c < C {
                        sums[r][c] = left.mul_add(right[c], sums[r][c]);
                        c += 1;
                    }
                    r += 1;
                }
                step += 1;
            }
            let mut r = 0;
            while r < R {
                let mut c = 0;
                while c < C {
                    sums[r][c].store(out.add(r * self.stride + c * V::LANES));
                    c += 1;
                }
                r += 1;
            }
        }
    }
}
