//! F32 vectors of every instruction-set level behind one trait, so that a kernel is written once.
//!
//! A kernel is a value of a type with [`Kernel`]; [`dispatch`] runs it with the vectors of a level. The generic body is
//! inlined into one entry per level that enables the level's instructions, so it compiles to the bare instructions.
//!
//! Invariant: vectors are created only inside a kernel that [`dispatch`] runs, which is handed levels that the machine has,
//! or behind an entry that enables the level itself and whose caller made sure of the same. That is why arithmetic on an
//! existing vector is safe while making one is not.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod functions;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse41;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use functions::{erfc, exp, sigmoid, tanh};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(crate) use sse41::Sse41;

use crate::isa::Isa;

/// A vector of F32.
pub(crate) trait Lanes: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Vectors the machine can hold.
    const REGISTERS: usize;
    /// Result of a comparison.
    type Mask: Copy;

    /// # Safety
    /// The machine has the level's instructions.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// As [`Lanes::splat`]; `from` is readable for a whole vector.
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` numbers (fewer than a vector) and zeros.
    /// # Safety
    /// As [`Lanes::splat`]; `from` is readable for `count` numbers.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// A vector of half-precision numbers.
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load_f16(from: *const u16) -> Self;
    /// One half-precision number.
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn widen_f16(bits: u16) -> f32;
    /// A vector of bfloat16 numbers.
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load_bf16(from: *const u16) -> Self;
    /// A vector of signed bytes.
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load_i8(from: *const i8) -> Self;
    /// # Safety
    /// `to` is writable for a whole vector.
    unsafe fn store(self, to: *mut f32);
    /// # Safety
    /// `to` is writable for `count` numbers, fewer than a vector.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// Rounds to half precision, ties to even.
    /// # Safety
    /// `to` is writable for a whole vector.
    unsafe fn store_f16(self, to: *mut u16);

    /// Drops the fraction and writes bytes; the numbers lie between -128 and 127.
    /// # Safety
    /// `to` is writable for as many bytes as a vector has numbers.
    unsafe fn store_i8(self, to: *mut i8);

    /// Asks for the line of memory at an address, which need not be readable.
    fn prefetch(_address: *const u8) {}

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where the level can.
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul(factor).add(addend)
    }
    /// `minuend - self * factor`.
    #[inline(always)]
    fn subtract_from(self, factor: Self, minuend: Self) -> Self {
        minuend.sub(self.mul(factor))
    }
    /// The smaller; `other` if either is not a number.
    fn min(self, other: Self) -> Self;
    /// The larger; `other` if either is not a number.
    fn max(self, other: Self) -> Self;
    /// Nearest integer, for magnitudes below 2^22.
    fn round(self) -> Self;
    /// `self * 2^power` for integral powers between -250 and 250.
    fn scale_by_power(self, power: Self) -> Self;
    fn less(self, other: Self) -> Self::Mask;
    /// Whether the mask holds anywhere.
    fn any(mask: Self::Mask) -> bool;
    /// `yes` where the mask holds, `no` elsewhere.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    fn sum(self) -> f32;
    /// The sum of each of four vectors.
    fn sum_each(vectors: [Self; 4]) -> [f32; 4];
    fn maximum(self) -> f32;
    /// Sixteen rows of sixteen numbers become columns: `to[j][i] = from[i][j]`.
    /// # Safety
    /// As [`Lanes::splat`]; sixteen numbers from each pointer on are readable or writable.
    #[inline(always)]
    unsafe fn transpose(from: [*const f32; 16], to: [*mut f32; 16]) {
        for (j, to) in to.into_iter().enumerate() {
            for (i, from) in from.into_iter().enumerate() {
                // SAFETY: says the caller.
                unsafe { *to.add(i) = *from.add(j) };
            }
        }
    }
}

/// Work that is written once for all levels.
pub(crate) trait Kernel {
    /// What it computes.
    type Output;

    /// Implementations carry `#[inline(always)]`.
    /// # Safety
    /// The machine has the instructions of `V`, and whatever the kernel's maker promised holds.
    unsafe fn run<V: Lanes>(self) -> Self::Output;
}

/// Runs a kernel with the vectors of a level.
/// # Safety
/// The machine has the level; the kernel's own contract holds.
#[inline]
pub(crate) unsafe fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    // SAFETY: the machine has the level, says the caller.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            if isa >= Isa::Avx512 {
                return run_avx512(kernel);
            }
            if isa >= Isa::Avx2 {
                return run_avx2(kernel);
            }
            if isa == Isa::Sse41 {
                return run_sse41(kernel);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if isa >= Isa::Neon {
            // NEON is in the baseline: no entry has to enable it.
            return kernel.run::<neon::Neon>();
        }
        let _ = isa;
        kernel.run::<portable::Portable>()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function's features are those of the vector; the rest is the caller's promise.
    unsafe { kernel.run::<avx512::Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: as above.
    unsafe { kernel.run::<avx2::Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn run_sse41<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: as above.
    unsafe { kernel.run::<sse41::Sse41>() }
}

#[cfg(test)]
mod tests;
