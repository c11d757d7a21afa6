//! Four tokens with NEON: products are added in 16 bits as long as they fit, or by dot products.

use std::arch::aarch64::*;

use super::frame::{self, Framed, Multiply};
use super::{IntegerFormat, MultiplyTile};
use crate::lanes;
use crate::matmul::bytes16::{Body, Bytes16, DotProd, sdot};

/// The kernel of a format with NEON alone.
pub(super) fn multiply(format: IntegerFormat) -> Option<MultiplyTile> {
    // `n` products of weights up to `m` fit 16 bits while n * m * 127 does.
    match format.largest.unsigned_abs().max(format.smallest.unsigned_abs()) {
        0..=64 => frame::signed::<Framed<Sums<4>, 2, 4>>(format),
        _ => frame::signed::<Framed<Sums<2>, 2, 4>>(format),
    }
}

/// The kernel of a format with dot products.
pub(super) fn multiply_dot(format: IntegerFormat) -> Option<MultiplyTile> {
    frame::signed::<Framed<Dot, 4, 4>>(format)
}

/// Weights of which `STEPS` products fit 16 bits.
struct Sums<const STEPS: usize>;

// SAFETY of every block below: every 64-bit Arm processor has NEON; pointers are the caller's.
impl<const STEPS: usize> Multiply for Sums<STEPS> {
    type Bytes = int8x16_t;
    type Ints = int32x4_t;
    type Floats = lanes::Neon;
    type Partial = [int16x8_t; 2];
    const STEPS: usize = STEPS;

    #[inline(always)]
    unsafe fn enter<B: Body>(body: B) {
        // SAFETY: the caller vouches for the body.
        unsafe { body.run() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> int8x16_t {
        // SAFETY: as above.
        unsafe { vld1q_s8(from.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(four: i32) -> int8x16_t {
        // SAFETY: as above.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(four)) }
    }

    #[inline(always)]
    unsafe fn start(value: i32) -> int32x4_t {
        // SAFETY: as above.
        unsafe { vdupq_n_s32(value) }
    }

    #[inline(always)]
    unsafe fn open(_: int32x4_t) -> [int16x8_t; 2] {
        // SAFETY: as above.
        unsafe { [vdupq_n_s16(0); 2] }
    }

    #[inline(always)]
    unsafe fn step([low, high]: [int16x8_t; 2], w: int8x16_t, x: int8x16_t) -> [int16x8_t; 2] {
        // SAFETY: as above.
        unsafe { [vmlal_s8(low, vget_low_s8(w), vget_low_s8(x)), vmlal_high_s8(high, w, x)] }
    }

    #[inline(always)]
    unsafe fn close(sums: int32x4_t, [low, high]: [int16x8_t; 2]) -> int32x4_t {
        // SAFETY: as above. Neighbours in 32 bits first: their sum need not fit 16.
        unsafe { vaddq_s32(sums, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))) }
    }

    #[inline(always)]
    unsafe fn floats(sums: int32x4_t) -> lanes::Neon {
        // SAFETY: as above.
        lanes::Neon(unsafe { vcvtq_f32_s32(sums) })
    }
}

/// Any weights, with dot products.
struct Dot;

// SAFETY of every block below: the machine has dot products, as the trait's callers promise; pointers are the caller's.
impl Multiply for Dot {
    type Bytes = int8x16_t;
    type Ints = int32x4_t;
    type Floats = lanes::Neon;
    type Partial = int32x4_t;
    const STEPS: usize = 4;

    #[inline(always)]
    unsafe fn enter<B: Body>(body: B) {
        // SAFETY: as above.
        unsafe { DotProd::enter(body) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> int8x16_t {
        // SAFETY: as above.
        unsafe { Sums::<2>::load(from) }
    }

    #[inline(always)]
    unsafe fn broadcast(four: i32) -> int8x16_t {
        // SAFETY: as above.
        unsafe { Sums::<2>::broadcast(four) }
    }

    #[inline(always)]
    unsafe fn start(value: i32) -> int32x4_t {
        // SAFETY: as above.
        unsafe { Sums::<2>::start(value) }
    }

    #[inline(always)]
    unsafe fn open(sums: int32x4_t) -> int32x4_t {
        sums
    }

    #[inline(always)]
    unsafe fn step(partial: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
        // SAFETY: as above.
        unsafe { sdot(partial, w, x) }
    }

    #[inline(always)]
    unsafe fn close(_: int32x4_t, partial: int32x4_t) -> int32x4_t {
        partial
    }

    #[inline(always)]
    unsafe fn floats(sums: int32x4_t) -> lanes::Neon {
        // SAFETY: as above.
        unsafe { Sums::<2>::floats(sums) }
    }
}
