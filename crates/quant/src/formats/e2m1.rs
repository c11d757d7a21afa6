//! Choice of an E2M1 value: shared by the encoders of MXFP4 and NVFP4.

use crate::tables::E2M1_DOUBLED;

/// The code whose value is nearest to `value` under a scale for doubled values; the first of equally near ones.
#[inline(always)]
pub(crate) fn nearest_code(value: f32, scale: f32) -> u8 {
    let error = |code: usize| (f32::from(E2M1_DOUBLED[code]) * scale - value).abs();
    let mut best = (0, error(0));
    for code in 1..16 {
        let candidate = error(code);
        if candidate < best.1 {
            best = (code, candidate);
        }
    }
    best.0 as u8
}
