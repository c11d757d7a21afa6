//! Eight F32 in plain Rust, for every machine; the compiler maps them to what its baseline has.

use super::Lanes;
use crate::matmul::half_to_f32;

/// Eight numbers.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

/// Adding and subtracting this rounds to an integer: the unit in the last place of 1.5 * 2^23 is one.
const ROUNDING: f32 = 12_582_912.0;

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Portable(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Lanes for Portable {
    const LANES: usize = 8;
    const REGISTERS: usize = 8;
    type Mask = [bool; 8];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        Portable(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 8];
        // SAFETY: readable for `count` numbers, which is less than eight.
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) };
        Portable(lanes)
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        let bits = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        Portable(bits.map(half_to_f32))
    }

    #[inline(always)]
    unsafe fn widen_f16(bits: u16) -> f32 {
        half_to_f32(bits)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        let bits = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        Portable(bits.map(|bits| f32::from_bits(u32::from(bits) << 16)))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: readable for eight numbers, says the caller.
        let bytes = unsafe { from.cast::<[i8; 8]>().read_unaligned() };
        Portable(bytes.map(f32::from))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: writable for eight numbers, says the caller.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: writable for `count` numbers, which is less than eight.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, count) };
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16) {
        let bits = self.0.map(|value| half::f16::from_f32(value).to_bits());
        // SAFETY: writable for eight numbers, says the caller.
        unsafe { to.cast::<[u16; 8]>().write_unaligned(bits) };
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8) {
        // SAFETY: writable for eight bytes, says the caller.
        unsafe { to.cast::<[i8; 8]>().write_unaligned(self.0.map(|value| value as i8)) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn round(self) -> Self {
        Portable(self.0.map(|value| (value + ROUNDING) - ROUNDING))
    }

    #[inline(always)]
    fn scale_by_power(self, power: Self) -> Self {
        // In two halves: 2^power itself may be outside the range of F32.
        self.zip(power, |value, power| {
            let power = power as i32;
            let half = power >> 1;
            let two_to = |p: i32| f32::from_bits((p.wrapping_add(127) as u32) << 23);
            value * two_to(half) * two_to(power - half)
        })
    }

    #[inline(always)]
    fn less(self, other: Self) -> [bool; 8] {
        std::array::from_fn(|i| self.0[i] < other.0[i])
    }

    #[inline(always)]
    fn any(mask: [bool; 8]) -> bool {
        mask.contains(&true)
    }

    #[inline(always)]
    fn select(mask: [bool; 8], yes: Self, no: Self) -> Self {
        Portable(std::array::from_fn(|i| if mask[i] { yes.0[i] } else { no.0[i] }))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    fn sum_each(vectors: [Self; 4]) -> [f32; 4] {
        vectors.map(Lanes::sum)
    }

    #[inline(always)]
    fn maximum(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
