//! Softmax of one row, with the largest element subtracted first.

use crate::lanes::{Kernel, Lanes, exp};

pub(super) struct Softmax {
    pub(super) x: *const f32,
    pub(super) n: usize,
    pub(super) out: *mut f32,
}

impl Kernel for Softmax {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Softmax { x, n, out } = self;
        // SAFETY: rows of `n` elements; whole vectors below `n`, then the rest through a padded buffer.
        unsafe {
            let whole = n - n % V::LANES;
            let left = n - whole;
            // The rest of the row, filled up with numbers whose exponential is zero.
            let mut rest = [f32::NEG_INFINITY; 16];
            std::ptr::copy_nonoverlapping(x.add(whole), rest.as_mut_ptr(), left);
            let rest = V::load(rest.as_ptr());

            let mut largest = rest;
            let mut i = 0;
            while i < whole {
                largest = largest.max(V::load(x.add(i)));
                i += V::LANES;
            }
            let shift = V::splat(largest.maximum().max(f32::MIN));

            let mut total = exp(rest.sub(shift));
            let tail = total;
            i = 0;
            while i < whole {
                let y = exp(V::load(x.add(i)).sub(shift));
                y.store(out.add(i));
                total = total.add(y);
                i += V::LANES;
            }
            let factor = V::splat(1.0 / total.sum());
            i = 0;
            while i < whole {
                V::load(out.add(i)).mul(factor).store(out.add(i));
                i += V::LANES;
            }
            if left > 0 {
                tail.mul(factor).store_first(out.add(whole), left);
            }
        }
    }
}
