//! Sixteen bytes at a time, for the levels whose vectors are that long: one trait, so that kernels are written once.
//!
//! The kernels are in `gemv::bytes16`, `gemm` and `quantised::rows`. Invariant: a kernel's body is inlined into
//! [`Bytes16::enter`], which enables the level's instructions, and is only entered on a machine that has them.

#[cfg(target_arch = "aarch64")]
mod dotprod;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod sse41;

#[cfg(target_arch = "aarch64")]
pub(super) use dotprod::{DotProd, sdot};
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(super) use sse41::Sse41;

use crate::lanes::Lanes;

/// What a level does with sixteen bytes.
///
/// # Safety
/// Every function may be called where the machine has the level; pointers are readable as far as the names say.
/// Activations lie in -127..=127.
pub(super) trait Bytes16 {
    type Bytes: Copy;
    /// Four sums of 32 bits.
    type Ints: Copy;
    /// Four numbers.
    type Floats: Lanes;
    /// What the zero of stored weights adds to the products of 32 activations.
    type Above: Copy;

    /// Runs a body with the level's instructions enabled.
    unsafe fn enter<B: Body>(body: B);

    /// Sixteen bytes.
    unsafe fn load(from: *const u8) -> Self::Bytes;
    unsafe fn splat(byte: u8) -> Self::Bytes;
    /// Sixteen bytes of two numbers, lower ones first.
    unsafe fn of_numbers(low: u64, high: u64) -> Self::Bytes;
    unsafe fn or(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// `(byte >> from) & mask`
    unsafe fn bits(bytes: Self::Bytes, from: usize, mask: u8) -> Self::Bytes;
    /// `byte << by`, which fits.
    unsafe fn raise(bytes: Self::Bytes, by: usize) -> Self::Bytes;
    /// `table[index]` of indices below sixteen.
    unsafe fn look_up(table: Self::Bytes, index: Self::Bytes) -> Self::Bytes;
    /// The bytes of both in turn: of their first eight, and of the others.
    unsafe fn in_turn(a: Self::Bytes, b: Self::Bytes) -> [Self::Bytes; 2];
    /// The first eight of both, and the others.
    unsafe fn joined(a: Self::Bytes, b: Self::Bytes) -> [Self::Bytes; 2];
    /// The first digits of base 3 of fractions of 256, which are multiplied by powers of 3 modulo 256 first; the powers of
    /// two neighbours are the same.
    unsafe fn digits(bytes: Self::Bytes, powers: Self::Bytes) -> Self::Bytes;
    /// `byte` where the bit of the same number is set, else zero.
    unsafe fn where_set(bits: u16, byte: u8) -> Self::Bytes;

    unsafe fn no_ints() -> Self::Ints;
    unsafe fn sub(a: Self::Ints, b: Self::Ints) -> Self::Ints;
    unsafe fn shift_left(a: Self::Ints, by: usize) -> Self::Ints;
    unsafe fn floats(a: Self::Ints) -> Self::Floats;

    /// What [`Bytes16::dot32`] needs to know of the activations where the weights' zero is not 0.
    unsafe fn above(zero: u8, x: [Self::Bytes; 2]) -> Self::Above;
    /// Products of 32 weights, less `zero`, and activations, in four sums.
    unsafe fn dot32(
        stored: Stored,
        zero: u8,
        w: [Self::Bytes; 2],
        x: [Self::Bytes; 2],
        above: Self::Above,
    ) -> Self::Ints;
    /// Adds `scale` times the products of sixteen.
    unsafe fn scaled_dot16(sum: Self::Ints, stored: Stored, w: Self::Bytes, x: Self::Bytes, scale: i16) -> Self::Ints;
    /// Adds `scale` times the products of 32.
    #[inline(always)]
    unsafe fn scaled_dot32(
        sum: Self::Ints,
        stored: Stored,
        w: [Self::Bytes; 2],
        x: [Self::Bytes; 2],
        scale: i16,
    ) -> Self::Ints {
        // SAFETY: passed on.
        unsafe {
            let sum = Self::scaled_dot16(sum, stored, w[0], x[0], scale);
            Self::scaled_dot16(sum, stored, w[1], x[1], scale)
        }
    }
    /// Adds the products of eight 16-bit numbers.
    unsafe fn words_dot(sum: Self::Ints, a: *const i16, b: *const i16) -> Self::Ints;

    /// One half-precision number.
    #[inline(always)]
    unsafe fn half(at: *const u8) -> f32 {
        // SAFETY: passed on.
        unsafe { Self::Floats::widen_f16(at.cast::<u16>().read_unaligned()) }
    }
}

/// How stored bytes are to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// At most 63.
    Unsigned,
    Signed,
}

/// Work that is inlined into [`Bytes16::enter`].
pub(super) trait Body {
    /// Implementations carry `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine has the level it is entered at, and whatever its maker promised holds.
    unsafe fn run(self);
}
