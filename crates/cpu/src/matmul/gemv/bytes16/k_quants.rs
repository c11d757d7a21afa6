//! How the super-blocks are read sixteen bytes at a time: Q2_K to Q6_K and IQ4_XS.

use super::legacy::{looked_up, nibbles};
use super::super_blocks::{Correction, Header, ScaleOf, SuperBlock};
use crate::matmul::bytes16::{Bytes16, Stored};
use crate::matmul::integers::IQ4_VALUES;

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;
pub(super) struct Iq4Xs;

// SAFETY of every block below: the frame passes a pointer to a whole block and parts below 8, and runs on a machine
// with the level.

impl SuperBlock for Q2K {
    const BYTES: usize = 84;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of16;
    const CORRECTION: Correction = Correction::Minimums16;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let both = block.cast::<[u8; 16]>().read();
            Header {
                scales: both.map(|both| i16::from(both & 15)),
                minimums: both.map(|both| i16::from(both >> 4)),
                factors: [V::half(block.add(80)), V::half(block.add(82))],
            }
        }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe { bits::<V>(block.add(16 + 32 * (part / 4)), 2 * (part % 4), 3) }
    }
}

impl SuperBlock for Q3K {
    const BYTES: usize = 110;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of16;
    const CORRECTION: Correction = Correction::Zero { shift: 2 };

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let [a, b, high] = words(block.add(96));
            let six = |low: u32, high: u32| u64::from((low & 0x0f0f_0f0f) | ((high & 0x0303_0303) << 4));
            let first = six(a, high) | six(b, high >> 2) << 32;
            let second = six(a >> 4, high >> 4) | six(b >> 4, high >> 6) << 32;
            Header {
                scales: sixteen(first, second).map(|scale| i16::from(scale) - 32),
                minimums: [0; 16],
                factors: [V::half(block.add(108)), 0.0],
            }
        }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let low = bits::<V>(block.add(32 + 32 * (part / 4)), 2 * (part % 4), 3);
            with::<V>(low, bits::<V>(block, part, 1), 2)
        }
    }
}

impl SuperBlock for Q4K {
    const BYTES: usize = 144;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::Minimums8;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { six_bit_scales::<V>(block) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe { bits::<V>(block.add(16 + 32 * (part / 2)), 4 * (part % 2), 15) }
    }
}

impl SuperBlock for Q5K {
    const BYTES: usize = 176;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::Minimums8;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { six_bit_scales::<V>(block) }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let low = bits::<V>(block.add(48 + 32 * (part / 2)), 4 * (part % 2), 15);
            with::<V>(low, bits::<V>(block.add(16), part, 1), 4)
        }
    }
}

impl SuperBlock for Q6K {
    const BYTES: usize = 210;
    const STORED: Stored = Stored::Unsigned;
    const SCALES: ScaleOf = ScaleOf::Of16;
    const CORRECTION: Correction = Correction::Zero { shift: 5 };

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            Header {
                scales: block.add(192).cast::<[i8; 16]>().read().map(i16::from),
                minimums: [0; 16],
                factors: [V::half(block.add(208)), 0.0],
            }
        }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe {
            let (half, quarter) = (part / 4, part % 4);
            let low = bits::<V>(block.add(64 * half + 32 * (quarter % 2)), 4 * (quarter / 2), 15);
            with::<V>(low, bits::<V>(block.add(128 + 32 * half), 2 * quarter, 3), 4)
        }
    }
}

impl SuperBlock for Iq4Xs {
    const BYTES: usize = 136;
    const STORED: Stored = Stored::Signed;
    const SCALES: ScaleOf = ScaleOf::Of32;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header<V: Bytes16>(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let high = u16::from_le(block.add(2).cast::<u16>().read_unaligned());
            let low = u32::from_le(block.add(4).cast::<u32>().read_unaligned());
            let mut scales = [0; 16];
            for (group, scale) in scales.iter_mut().enumerate().take(8) {
                *scale = (low >> (4 * group) & 15) as i16 + ((high >> (2 * group) & 3) << 4) as i16 - 32;
            }
            Header { scales, minimums: [0; 16], factors: [V::half(block), 0.0] }
        }
    }

    #[inline(always)]
    unsafe fn values<V: Bytes16>(block: *const u8, part: usize) -> [V::Bytes; 2] {
        // SAFETY: as above.
        unsafe { looked_up::<V>(&IQ4_VALUES, nibbles::<V, 8>(block.add(16 * part))) }
    }
}

/// The bits of 32 bytes from bit `from` on.
#[inline(always)]
pub(super) unsafe fn bits<V: Bytes16>(bytes: *const u8, from: usize, mask: u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has the 32 bytes.
    unsafe { [V::bits(V::load(bytes), from, mask), V::bits(V::load(bytes.add(16)), from, mask)] }
}

/// `low` with further bits above.
#[inline(always)]
unsafe fn with<V: Bytes16>(low: [V::Bytes; 2], high: [V::Bytes; 2], at: usize) -> [V::Bytes; 2] {
    // SAFETY: the machine has the level.
    unsafe { [V::or(low[0], V::raise(high[0], at)), V::or(low[1], V::raise(high[1], at))] }
}

/// Three little-endian words.
#[inline(always)]
unsafe fn words(at: *const u8) -> [u32; 3] {
    // SAFETY: the caller has twelve bytes there.
    unsafe { at.cast::<[u32; 3]>().read_unaligned().map(u32::from_le) }
}

/// The bytes of two words.
#[inline(always)]
fn sixteen(first: u64, second: u64) -> [u8; 16] {
    (u128::from(first) | u128::from(second) << 64).to_le_bytes()
}

/// The header Q4_K and Q5_K share.
#[inline(always)]
unsafe fn six_bit_scales<V: Bytes16>(block: *const u8) -> Header {
    // SAFETY: the caller's block has the 16 bytes.
    unsafe {
        let [a, b, c] = words(block.add(4));
        let scales_high = (c & 0x0f0f_0f0f) | ((a >> 2) & 0x3030_3030);
        let minimums_high = ((c >> 4) & 0x0f0f_0f0f) | ((b >> 2) & 0x3030_3030);
        let scales = u64::from(a & 0x3f3f_3f3f) | u64::from(scales_high) << 32;
        let minimums = u64::from(b & 0x3f3f_3f3f) | u64::from(minimums_high) << 32;
        Header {
            scales: sixteen(scales, 0).map(i16::from),
            minimums: sixteen(minimums, 0).map(i16::from),
            factors: [V::half(block), V::half(block.add(2))],
        }
    }
}
