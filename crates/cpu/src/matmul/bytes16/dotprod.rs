//! Sixteen bytes with NEON's dot products: four sums of four products in one instruction.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{byte_operations, signed};
use super::{Body, Bytes16, Stored};
use crate::lanes;

pub(in crate::matmul) struct DotProd;

#[target_feature(enable = "neon,dotprod")]
unsafe fn enter<B: Body>(body: B) {
    // SAFETY: the caller vouches for the machine and the body.
    unsafe { body.run() }
}

/// Adds four products to each sum. The intrinsic for it is not stable yet.
///
/// # Safety
/// Inlined into a function with the instruction enabled.
#[inline(always)]
pub(in crate::matmul) unsafe fn sdot(mut sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: an instruction on registers, which the machine has.
    unsafe {
        asm!("sdot {sum:v}.4s, {w:v}.16b, {x:v}.16b", sum = inout(vreg) sum, w = in(vreg) w, x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

// SAFETY of every block below: the machine has the level, as the trait's callers promise; pointers are the caller's.
impl Bytes16 for DotProd {
    byte_operations!(lanes::Neon);

    #[inline(always)]
    unsafe fn enter<B: Body>(body: B) {
        // SAFETY: as above.
        unsafe { enter(body) }
    }

    #[inline(always)]
    unsafe fn dot32(_: Stored, zero: u8, w: [uint8x16_t; 2], x: [uint8x16_t; 2], _: ()) -> int32x4_t {
        // SAFETY: as above.
        unsafe {
            let first = sdot(vdupq_n_s32(0), signed(w[0], zero), signed(x[0], 0));
            sdot(first, signed(w[1], zero), signed(x[1], 0))
        }
    }

    #[inline(always)]
    unsafe fn scaled_dot16(sum: int32x4_t, _: Stored, w: uint8x16_t, x: uint8x16_t, scale: i16) -> int32x4_t {
        // SAFETY: as above.
        unsafe {
            let dot = sdot(vdupq_n_s32(0), signed(w, 0), signed(x, 0));
            vmlaq_n_s32(sum, dot, i32::from(scale))
        }
    }

    #[inline(always)]
    unsafe fn scaled_dot32(
        sum: int32x4_t,
        stored: Stored,
        w: [uint8x16_t; 2],
        x: [uint8x16_t; 2],
        scale: i16,
    ) -> int32x4_t {
        // SAFETY: as above.
        unsafe { vmlaq_n_s32(sum, Self::dot32(stored, 0, w, x, ()), i32::from(scale)) }
    }
}
