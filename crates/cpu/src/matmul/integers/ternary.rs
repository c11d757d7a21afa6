//! Ternary blocks: TQ2_0.

use super::{IntegerBlock, Offsets, half_at};

pub(super) struct Tq2_0;

impl IntegerBlock for Tq2_0 {
    const LEN: usize = 256;
    const BYTES: usize = 66;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-1, 2);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], _offsets: &mut [f32]) {
        scales[..8].fill(half_at(block, 64));
        for (bytes, values) in block[..64].chunks_exact(32).zip(values.chunks_exact_mut(128)) {
            for shift in 0..4 {
                for (value, byte) in values[shift * 32..][..32].iter_mut().zip(bytes) {
                    *value = ((byte >> (2 * shift)) & 3) as i8 - 1;
                }
            }
        }
    }
}
