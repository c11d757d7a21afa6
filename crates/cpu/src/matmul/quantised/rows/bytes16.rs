//! A decoded row times a token, sixteen bytes at a time.

use std::marker::PhantomData;

use super::DecodedRow;
use crate::lanes::Lanes;
use crate::matmul::activation::RowView;
use crate::matmul::bytes16::{Body, Bytes16, Stored};

/// # Safety
/// The machine has the level, the view covers the row.
pub(super) unsafe fn dot<V: Bytes16>(row: &DecodedRow<'_>, x: RowView) -> f32 {
    let mut result = 0.0;
    // SAFETY: the caller vouches for the same.
    unsafe { V::enter(Dot::<V> { row, x, result: &mut result, level: PhantomData }) };
    result
}

struct Dot<'a, V> {
    row: &'a DecodedRow<'a>,
    x: RowView,
    result: &'a mut f32,
    level: PhantomData<V>,
}

impl<V: Bytes16> Body for Dot<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Dot { row, x, result, .. } = self;
        // SAFETY: reads stay within the row's whole groups of 32, which the view covers.
        unsafe {
            let mut sum = V::Floats::splat(0.0);
            let mut offsets = 0.0;
            let no_bytes = V::splat(0);
            let above = V::above(0, [no_bytes; 2]);
            for g in 0..row.values.len() / 32 {
                let load = |from: *const i8| [V::load(from.cast()), V::load(from.add(16).cast())];
                let (w, values) = (load(row.values.as_ptr().add(32 * g)), load(x.values.add(32 * g)));
                let of_x = *x.scales.add(g);
                if row.group == 32 {
                    let products = V::floats(V::dot32(Stored::Signed, 0, w, values, above));
                    sum = products.mul_add(V::Floats::splat(row.scales[g] * of_x), sum);
                    if let Some(offset) = row.offsets.get(g) {
                        offsets += offset * *x.scaled_sums.add(g);
                    }
                } else {
                    for half in 0..2 {
                        let dot = V::scaled_dot16(V::no_ints(), Stored::Signed, w[half], values[half], 1);
                        let at = 2 * g + half;
                        sum = V::floats(dot).mul_add(V::Floats::splat(row.scales[at] * of_x), sum);
                        if let Some(offset) = row.offsets.get(at) {
                            offsets += offset * (f32::from(*x.sums16.add(at)) * of_x);
                        }
                    }
                }
            }
            *result = sum.sum() + offsets;
        }
    }
}
