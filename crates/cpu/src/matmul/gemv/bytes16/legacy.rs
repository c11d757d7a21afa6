//! How the blocks of 32 are read sixteen bytes at a time.

use super::blocks32::Block32;
use crate::matmul::bytes16::{Bytes16, Stored};
use crate::matmul::integers::{IQ4_VALUES, MXFP4_VALUES, Offsets, halved_power_of_two};

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs on a machine with the level.

macro_rules! blocks {
    ($($name:ident: $bytes:literal, $stored:ident, $zero:literal, $offsets:ident, $values:ident::<$($at:literal),*>, $factors:ident;)*) => {
        $(pub(super) struct $name;

        impl Block32 for $name {
            const BYTES: usize = $bytes;
            const STORED: Stored = Stored::$stored;
            const ZERO: u8 = $zero;
            const OFFSETS: Offsets = Offsets::$offsets;

            #[inline(always)]
            unsafe fn values<V: Bytes16>(block: *const u8, _: usize) -> [V::Bytes; 2] {
                // SAFETY: as above.
                unsafe { $values::<V, $($at),*>(block) }
            }

            #[inline(always)]
            unsafe fn factors<V: Bytes16>(block: *const u8, _: usize) -> [f32; 2] {
                // SAFETY: as above.
                unsafe { $factors::<V>(block) }
            }
        })*
    };
}

blocks! {
    Q4_0: 18, Unsigned, 8, None, nibbles::<2>, half;
    Q4_1: 20, Unsigned, 0, PerGroup, nibbles::<4>, two_halves;
    Q5_0: 22, Unsigned, 16, None, five_bits::<6, 2>, half;
    Q5_1: 24, Unsigned, 0, PerGroup, five_bits::<8, 4>, two_halves;
    Q8_0: 34, Signed, 0, None, bytes::<2>, half;
    Iq4Nl: 18, Signed, 0, None, iq4::<2>, half;
    Mxfp4: 17, Signed, 0, None, mxfp4::<1>, power_of_two;
}

#[inline(always)]
pub(super) unsafe fn half<V: Bytes16>(block: *const u8) -> [f32; 2] {
    // SAFETY: the caller's block begins with a half.
    [unsafe { V::half(block) }, 0.0]
}

#[inline(always)]
unsafe fn two_halves<V: Bytes16>(block: *const u8) -> [f32; 2] {
    // SAFETY: the caller's block begins with two halves.
    unsafe { [V::half(block), V::half(block.add(2))] }
}

#[inline(always)]
unsafe fn power_of_two<V: Bytes16>(block: *const u8) -> [f32; 2] {
    // SAFETY: the caller's block begins with an exponent.
    [halved_power_of_two(unsafe { *block }), 0.0]
}

#[inline(always)]
unsafe fn bytes<V: Bytes16, const AT: usize>(block: *const u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has 32 bytes there.
    unsafe { [V::load(block.add(AT)), V::load(block.add(AT + 16))] }
}

/// Low nibbles of the 16 bytes at `AT`, then the high ones.
#[inline(always)]
pub(super) unsafe fn nibbles<V: Bytes16, const AT: usize>(block: *const u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has the bytes.
    unsafe {
        let both = V::load(block.add(AT));
        [V::bits(both, 0, 15), V::bits(both, 4, 15)]
    }
}

/// Nibbles at `AT` with a fifth bit each from the 32 bits at `BITS`.
#[inline(always)]
unsafe fn five_bits<V: Bytes16, const AT: usize, const BITS: usize>(block: *const u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has the bytes.
    unsafe {
        let ([low, high], fifth) = (nibbles::<V, AT>(block), where_set::<V>(block.add(BITS), 16));
        [V::or(low, fifth[0]), V::or(high, fifth[1])]
    }
}

/// `byte` where the bit of the same number, of 32, is set, else zero.
#[inline(always)]
pub(super) unsafe fn where_set<V: Bytes16>(bits: *const u8, byte: u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has the four bytes.
    unsafe {
        let [low, high] = bits.cast::<[u16; 2]>().read_unaligned();
        [V::where_set(u16::from_le(low), byte), V::where_set(u16::from_le(high), byte)]
    }
}

#[inline(always)]
unsafe fn iq4<V: Bytes16, const AT: usize>(block: *const u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has the bytes.
    unsafe { looked_up::<V>(&IQ4_VALUES, nibbles::<V, AT>(block)) }
}

#[inline(always)]
unsafe fn mxfp4<V: Bytes16, const AT: usize>(block: *const u8) -> [V::Bytes; 2] {
    // SAFETY: the caller's block has the bytes.
    unsafe { looked_up::<V>(&MXFP4_VALUES, nibbles::<V, AT>(block)) }
}

#[inline(always)]
pub(super) unsafe fn looked_up<V: Bytes16>(table: &[i8; 16], [low, high]: [V::Bytes; 2]) -> [V::Bytes; 2] {
    // SAFETY: the table has sixteen bytes.
    unsafe {
        let table = V::load(table.as_ptr().cast());
        [V::look_up(table, low), V::look_up(table, high)]
    }
}
