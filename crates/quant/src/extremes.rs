//! The extremes of a block, from which the encoders take their scales.
//!
//! Comparisons with NaN are false, and which of two equal values wins decides the sign of a zero: the order of operands
//! below is that of the reference, so that encoded files agree in every bit.

/// The first value of the largest magnitude, with its sign; zero if there is nothing larger. NaN is passed over.
#[inline(always)]
pub(crate) fn farthest_from_zero(values: &[f32]) -> f32 {
    let mut farthest = 0.0f32;
    for &value in values {
        if farthest.abs() < value.abs() {
            farthest = value;
        }
    }
    farthest
}

/// The largest magnitude; what stands before a NaN is forgotten.
#[inline(always)]
pub(crate) fn largest_magnitude(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest: f32, value| if largest > value.abs() { largest } else { value.abs() })
}

/// The smallest and the largest value. NaN is passed over.
#[inline(always)]
pub(crate) fn range(values: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = (f32::MAX, f32::MIN);
    for &value in values {
        if value < low {
            low = value;
        }
        if value > high {
            high = value;
        }
    }
    (low, high)
}

/// One over the scale, or zero for a block without one.
#[inline(always)]
pub(crate) fn inverse(scale: f32) -> f32 {
    if scale != 0.0 { 1.0 / scale } else { 0.0 }
}
