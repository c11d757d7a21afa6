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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn roundings_are_those_of_the_standard_library(value in -4e6f32..4e6) {
            for value in [value, value.trunc() + 0.5, value.trunc() - 0.5, value / 1e6] {
                prop_assert_eq!(round_half_away(value), value.round() as i32);
                prop_assert_eq!(round_half_even(value), value.round_ties_even() as i32);
                prop_assert_eq!(truncate(value), value.trunc() as i32);
            }
        }
    }

    #[test]
    fn just_below_one_half_is_rounded_down() {
        for (value, rounded) in [(0.499_999_97, 0), (0.5, 1), (-0.499_999_97, 0), (-0.5, -1), (126.5, 127)] {
            assert_eq!(round_half_away(value), rounded, "{value}");
        }
    }

    #[test]
    fn what_no_integer_holds_has_a_zero_low_byte() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e9, -3e9] {
            assert_eq!(truncate(value) as u8, 0, "{value}");
            assert_eq!(round_half_away(value) as u8, 0, "{value}");
        }
    }
}
