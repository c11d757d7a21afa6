//! How the blocks of 64 and 128 are read sixteen bytes at a time: Q1_0, Q2_0 and NVFP4.

use super::super::Scales;
use super::blocks32::Block32;
use super::legacy::{half, looked_up, nibbles, where_set};
use crate::matmul::bytes16::{Bytes16, Stored};
use crate::matmul::integers::{MXFP4_VALUES, Offsets, half_of_ue4m3};

pub(super) struct Q1_0;
pub(super) struct Q2_0;
pub(super) struct Nvfp4;

// SAFETY of every block below: the frame passes a pointer to a whole block and a group of it, and runs on a machine with
// the level.

impl Block32 for Q1_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 4;
    const STORED: Stored = Stored::Unsigned;
    const ZERO: u8 = 1;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, group: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe { where_set::<V>(block.add(2 + 4 * group), 2) }
    }

    #[inline(always)]
    unsafe fn factors<V: Bytes16>(block: *const u8, _: usize) -> [f32; 2] {
        // SAFETY: as above.
        unsafe { half::<V>(block) }
    }
}

impl Block32 for Q2_0 {
    const BYTES: usize = 18;
    const GROUPS: usize = 2;
    const STORED: Stored = Stored::Unsigned;
    const ZERO: u8 = 1;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, group: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let eight = block.add(2 + 8 * group).cast::<u64>().read_unaligned();
            let eight = V::of_numbers(u64::from_le(eight), 0);
            // Nibbles in order, and then their lower and upper pairs of bits.
            let [pairs, _] = V::in_turn(V::bits(eight, 0, 15), V::bits(eight, 4, 15));
            V::in_turn(V::bits(pairs, 0, 3), V::bits(pairs, 2, 3))
        }
    }

    #[inline(always)]
    unsafe fn factors<V: Bytes16>(block: *const u8, _: usize) -> [f32; 2] {
        // SAFETY: as above.
        unsafe { half::<V>(block) }
    }
}

impl Block32 for Nvfp4 {
    const BYTES: usize = 36;
    const GROUPS: usize = 2;
    const SCALES: Scales = Scales::PerHalf;
    const STORED: Stored = Stored::Signed;
    const ZERO: u8 = 0;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, group: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            // Eight bytes are sixteen values: the low nibbles, then the high ones.
            let [low, high] = nibbles::<V, 4>(block.add(16 * group));
            looked_up::<V>(&MXFP4_VALUES, V::joined(low, high))
        }
    }

    #[inline(always)]
    unsafe fn factors<V: Bytes16>(block: *const u8, group: usize) -> [f32; 2] {
        // SAFETY: as above.
        unsafe { [half_of_ue4m3(*block.add(2 * group)), half_of_ue4m3(*block.add(2 * group + 1))] }
    }
}
