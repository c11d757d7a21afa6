//! How the ternary super-blocks are read sixteen bytes at a time: TQ1_0 and TQ2_0. Their 256 values have one scale.

use super::k_quants::bits;
use super::super_blocks::{Correction, Header, ScaleOf, SuperBlock};
use crate::matmul::bytes16::{Bytes16, Stored};

pub(super) struct Tq1_0;
pub(super) struct Tq2_0;

// SAFETY of every block below: the frame passes a pointer to a whole block and parts below 8, and runs on a machine
// with the level.

impl SuperBlock for Tq1_0 {
    const BYTES: usize = 54;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { one_scale::<V>(block.add(52)) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            // The digits of 32 bytes, five of each; then of 16 bytes, five; then of four bytes, four.
            let short = V::load(block.add(32));
            match part {
                0..=4 => {
                    let power = V::splat(POWERS[part]);
                    [V::digits(V::load(block), power), V::digits(V::load(block.add(16)), power)]
                }
                5 => [V::digits(short, V::splat(1)), V::digits(short, V::splat(3))],
                6 => [V::digits(short, V::splat(9)), V::digits(short, V::splat(27))],
                _ => {
                    // The block's last bytes, of which the scale has two.
                    let last = V::look_up(V::load(block.add(38)), V::load(LAST.as_ptr()));
                    [V::digits(short, V::splat(81)), V::digits(last, V::load(LAST_POWERS.as_ptr()))]
                }
            }
        }
    }
}

static POWERS: [u8; 5] = [1, 3, 9, 27, 81];
static LAST: [u8; 16] = [10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13];
static LAST_POWERS: [u8; 16] = [1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27];

impl SuperBlock for Tq2_0 {
    const BYTES: usize = 66;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::Zero { shift: 0 };

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { one_scale::<V>(block.add(64)) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe { bits::<V>(block.add(32 * (part / 4)), 2 * (part % 4), 3) }
    }
}

/// Values of which one stands for zero, with the half-precision scale at `scale`.
#[inline(always)]
unsafe fn one_scale<V: Bytes16>(scale: *const u8) -> Header {
    // SAFETY: the caller's block has the two bytes.
    Header { scales: [1; 16], minimums: [0; 16], factors: [unsafe { V::half(scale) }, 0.0] }
}
