//! Float to integer conversions of the encoders, with the reference's result for every input.
//!
//! An encoder meets infinities and NaN when its input holds them or its scale underflows. C leaves those conversions
//! undefined; the files the field has were written on x86-64, whose conversion instruction gives the smallest integer then
//! (so its low byte is zero), and that is what "bit-identical" means here.

/// Rounds to nearest, halves away from zero; `i32::MIN` for what no 32-bit integer holds.
#[inline(always)]
pub(crate) fn round_half_away(value: f32) -> i32 {
    // The largest number below one half: adding one half itself would carry 0.49999997 up to 1.
    truncate(value + 0.499_999_97f32.copysign(value))
}

/// Drops the fraction; `i32::MIN` for what no 32-bit integer holds.
#[inline(always)]
pub(crate) fn truncate(value: f32) -> i32 {
    if value.abs() < 2_147_483_648.0 { value as i32 } else { i32::MIN }
}

/// Rounds to nearest, halves to even, for magnitudes up to 2^22; beyond them, the low bits of the float sum.
#[inline(always)]
pub(crate) fn round_half_even(value: f32) -> i32 {
    // Adding 1.5 * 2^23 moves the units place to the last bit of the fraction.
    let bits = (value + 12_582_912.0).to_bits();
    (bits & 0x007F_FFFF) as i32 - 0x0040_0000
}
