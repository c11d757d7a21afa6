//! Lattice points with signs: how the IQ2 and IQ3 formats write eight elements.
//!
//! A point gives the magnitudes, a byte the signs (bit `i` set: element `i` is negative).

/// Eight signed values from one point of eight magnitudes.
#[inline(always)]
pub(crate) fn signed_point(point: u64, signs: u8) -> [i8; 8] {
    with_signs(point.to_le_bytes(), signs)
}

/// Eight signed values from two points of four magnitudes.
#[inline(always)]
pub(crate) fn signed_pair(first: u32, second: u32, signs: u8) -> [i8; 8] {
    with_signs((u64::from(second) << 32 | u64::from(first)).to_le_bytes(), signs)
}

#[inline(always)]
fn with_signs(magnitudes: [u8; 8], signs: u8) -> [i8; 8] {
    std::array::from_fn(|i| {
        // All ones where negative: complement and add one is the negation.
        let mask = -((signs >> i & 1) as i8);
        (magnitudes[i] as i8 ^ mask) - mask
    })
}
