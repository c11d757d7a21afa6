//! Rotary position embedding: the rotation of heads by the angles of their token.
//!
//! Flow: once per step and set of parameters a table of cosines and sines is filled (`work/rope.rs`); every layer then
//! rotates its queries and keys with it. The angles are those of
//! [`RopeParameters::angles`](ascua_graph::RopeParameters::angles): a running F32 product, because agreement with the field's engines is tested at angles so
//! large that another order of rounding gives other values.

use ascua_graph::RopeStyle;

use crate::isa::{Isa, IsaError};
use crate::lanes::{Kernel, Lanes, dispatch};

/// Rotation of rows of heads at one instruction-set level.
#[derive(Clone, Copy, Debug)]
pub struct RopeKernel {
    isa: Isa,
    style: RopeStyle,
    heads: usize,
    head_size: usize,
    pairs: usize,
}

impl RopeKernel {
    /// For rows of `heads` heads of `head_size`, of which the first `2 * pairs` elements are rotated (at most all).
    pub fn new(
        style: RopeStyle,
        heads: usize,
        head_size: usize,
        pairs: usize,
        isa: Isa,
    ) -> Result<RopeKernel, IsaError> {
        Ok(RopeKernel { isa: isa.require()?, style, heads, head_size, pairs: pairs.min(head_size / 2) })
    }

    /// Rotates the heads of one token.
    /// # Safety
    /// `x` and `out` are `heads * head_size` elements, the same or apart; `cosines` and `sines` are `pairs` elements.
    #[inline]
    pub unsafe fn rotate(&self, x: *const f32, cosines: *const f32, sines: *const f32, out: *mut f32) {
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe { dispatch(self.isa, Rotate { kernel: *self, x, cosines, sines, out }) };
    }
}

struct Rotate {
    kernel: RopeKernel,
    x: *const f32,
    cosines: *const f32,
    sines: *const f32,
    out: *mut f32,
}

impl Kernel for Rotate {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let RopeKernel { style, heads, head_size, pairs, .. } = self.kernel;
        // SAFETY: `heads` heads in both rows, `2 * pairs` elements of each rotated, the rest copied.
        unsafe {
            for head in 0..heads {
                let (x, out) = (self.x.add(head * head_size), self.out.add(head * head_size));
                match style {
                    RopeStyle::Neox => rotate_halves::<V>(x, self.cosines, self.sines, pairs, out),
                    RopeStyle::Normal => rotate_neighbours(x, self.cosines, self.sines, pairs, out),
                }
                if x != out.cast_const() {
                    std::ptr::copy_nonoverlapping(x.add(2 * pairs), out.add(2 * pairs), head_size - 2 * pairs);
                }
            }
        }
    }
}

/// Pairs `(i, i + pairs)`.
/// # Safety
/// As [`RopeKernel::rotate`], for one head; the machine has the instructions of `V`.
#[inline(always)]
unsafe fn rotate_halves<V: Lanes>(x: *const f32, cosines: *const f32, sines: *const f32, pairs: usize, out: *mut f32) {
    // SAFETY: whole vectors below `pairs`, then the rest; a pair is read before it is written.
    unsafe {
        let mut i = 0;
        while i + V::LANES <= pairs {
            let (cosine, sine) = (V::load(cosines.add(i)), V::load(sines.add(i)));
            let (a, b) = (V::load(x.add(i)), V::load(x.add(pairs + i)));
            b.subtract_from(sine, a.mul(cosine)).store(out.add(i));
            a.mul_add(sine, b.mul(cosine)).store(out.add(pairs + i));
            i += V::LANES;
        }
        while i < pairs {
            let (cosine, sine) = (*cosines.add(i), *sines.add(i));
            let (a, b) = (*x.add(i), *x.add(pairs + i));
            *out.add(i) = a * cosine - b * sine;
            *out.add(pairs + i) = a * sine + b * cosine;
            i += 1;
        }
    }
}

/// Pairs `(2i, 2i + 1)`; the compiler vectorises the loop with the level's shuffles.
/// # Safety
/// As [`RopeKernel::rotate`], for one head.
#[inline(always)]
unsafe fn rotate_neighbours(x: *const f32, cosines: *const f32, sines: *const f32, pairs: usize, out: *mut f32) {
    for i in 0..pairs {
        // SAFETY: `i` is below `pairs`; a pair is read before it is written.
        unsafe {
            let (cosine, sine) = (*cosines.add(i), *sines.add(i));
            let (a, b) = (*x.add(2 * i), *x.add(2 * i + 1));
            *out.add(2 * i) = a * cosine - b * sine;
            *out.add(2 * i + 1) = a * sine + b * cosine;
        }
    }
}

#[cfg(test)]
mod tests {
    use ascua_graph::RopeParameters;

    use super::*;

    fn parameters(style: RopeStyle, rotary_size: usize) -> RopeParameters {
        RopeParameters {
            style,
            rotary_size,
            base: 10000.0,
            frequency_scale: 1.0,
            extrapolation: 0.0,
            attention_factor: 1.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 2048,
            factors: None,
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_token() {
        let parameters = parameters(RopeStyle::Neox, 22);
        let positions = [0, 1, 511, 40_000];
        let (mut cosines, mut sines) = (vec![9.0; 44], vec![9.0; 44]);
        let rows = cosines.chunks_exact_mut(11).zip(sines.chunks_exact_mut(11));
        for (position, (cosines, sines)) in positions.into_iter().zip(rows) {
            parameters.angles(position, cosines, sines);
        }
        for (row, position) in positions.into_iter().enumerate() {
            for pair in 0..11 {
                let angle = f64::from(position) * 10000f64.powf(-2.0 * pair as f64 / 22.0);
                let (c, s) = (f64::from(cosines[row * 11 + pair]), f64::from(sines[row * 11 + pair]));
                // The angle itself is rounded to F32.
                let tolerance = 1e-6 + angle * 2e-6;
                assert!(
                    (c - angle.cos()).abs() < tolerance && (s - angle.sin()).abs() < tolerance,
                    "{position} {pair}"
                );
            }
        }
    }

    #[test]
    fn heads_are_rotated_in_both_styles_at_every_level() {
        for (head_size, rotary_size) in [(64, 64), (80, 32), (128, 128), (96, 22), (6, 2), (7, 6), (64, 0)] {
            for style in [RopeStyle::Neox, RopeStyle::Normal] {
                let (heads, pairs) = (3, rotary_size / 2);
                let (mut cosines, mut sines) = (vec![0.0; pairs], vec![0.0; pairs]);
                parameters(style, rotary_size).angles(77, &mut cosines, &mut sines);
                let x: Vec<f32> = (0..heads * head_size).map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0).collect();
                let mut expected = x.clone();
                for head in expected.chunks_exact_mut(head_size) {
                    for pair in 0..pairs {
                        let (a, b) = match style {
                            RopeStyle::Neox => (pair, pair + pairs),
                            RopeStyle::Normal => (2 * pair, 2 * pair + 1),
                        };
                        let (p, q) = (head[a], head[b]);
                        head[a] = p * cosines[pair] - q * sines[pair];
                        head[b] = p * sines[pair] + q * cosines[pair];
                    }
                }
                for isa in Isa::available() {
                    let kernel = RopeKernel::new(style, heads, head_size, pairs, isa).unwrap();
                    let mut out = vec![9.0; x.len()];
                    let mut in_place = x.clone();
                    // SAFETY: rows of `heads * head_size`, tables of `pairs`.
                    unsafe {
                        kernel.rotate(x.as_ptr(), cosines.as_ptr(), sines.as_ptr(), out.as_mut_ptr());
                        let row = in_place.as_mut_ptr();
                        kernel.rotate(row, cosines.as_ptr(), sines.as_ptr(), row);
                    }
                    assert_eq!(out, in_place, "{style:?} {head_size}/{rotary_size} at {isa}");
                    for (y, e) in out.iter().zip(&expected) {
                        assert!((y - e).abs() < 1e-6, "{style:?} {head_size}/{rotary_size} at {isa}: {y} for {e}");
                    }
                }
            }
        }
    }
}
