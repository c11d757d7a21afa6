//! Shifted ternary lattice points: how the IQ1 formats write eight elements.
//!
//! A point has values -1, 0 and 1, and all eight are moved by plus or minus one eighth. In eighths they are integers.

use crate::tables::IQ1_GRID;

/// What an eighth is worth.
pub(crate) const EIGHTH: f32 = 0.125;

/// Eight values in eighths; `index` has 11 bits.
#[inline(always)]
pub(crate) fn shifted_point(index: usize, shift: i8) -> [i8; 8] {
    IQ1_GRID[index & 2047].to_le_bytes().map(|value| 8 * value as i8 + shift)
}

/// `out = scale * eighths / 8`, one scale per `GROUP` elements.
#[inline(always)]
pub(crate) fn decode_eighths<const GROUP: usize>(eighths: &[i8], scales: &[f32], out: &mut [f32]) {
    let groups = eighths.as_chunks::<GROUP>().0.iter().zip(out.as_chunks_mut::<GROUP>().0);
    for ((eighths, out), &scale) in groups.zip(scales) {
        for (out, &eighth) in out.iter_mut().zip(eighths) {
            *out = scale * (f32::from(eighth) * EIGHTH);
        }
    }
}
