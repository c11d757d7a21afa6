//! Sixteen bytes with NEON: products in 16 bits, added by pairs into 32.

use std::arch::aarch64::*;

use super::{Body, Bytes16, Stored};
use crate::lanes;

pub(in crate::matmul) struct Neon;

// SAFETY of every block below: every 64-bit Arm processor has NEON; pointers are the caller's.

macro_rules! byte_operations {
    ($floats:ty) => {
        type Bytes = uint8x16_t;
        type Ints = int32x4_t;
        type Floats = $floats;
        type Above = ();

        #[inline(always)]
        unsafe fn load(from: *const u8) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vld1q_u8(from) }
        }

        #[inline(always)]
        unsafe fn splat(byte: u8) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vdupq_n_u8(byte) }
        }

        #[inline(always)]
        unsafe fn of_numbers(low: u64, high: u64) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vcombine_u8(vcreate_u8(low), vcreate_u8(high)) }
        }

        #[inline(always)]
        unsafe fn or(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vorrq_u8(a, b) }
        }

        #[inline(always)]
        unsafe fn bits(bytes: uint8x16_t, from: usize, mask: u8) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vandq_u8(vshlq_u8(bytes, vdupq_n_s8(-(from as i8))), vdupq_n_u8(mask)) }
        }

        #[inline(always)]
        unsafe fn raise(bytes: uint8x16_t, by: usize) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vshlq_u8(bytes, vdupq_n_s8(by as i8)) }
        }

        #[inline(always)]
        unsafe fn look_up(table: uint8x16_t, index: uint8x16_t) -> uint8x16_t {
            // SAFETY: as above.
            unsafe { vqtbl1q_u8(table, index) }
        }

        #[inline(always)]
        unsafe fn in_turn(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
            // SAFETY: as above.
            unsafe { [vzip1q_u8(a, b), vzip2q_u8(a, b)] }
        }

        #[inline(always)]
        unsafe fn joined(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
            // SAFETY: as above.
            unsafe { [vcombine_u8(vget_low_u8(a), vget_low_u8(b)), vcombine_u8(vget_high_u8(a), vget_high_u8(b))] }
        }

        #[inline(always)]
        unsafe fn digits(bytes: uint8x16_t, powers: uint8x16_t) -> uint8x16_t {
            // SAFETY: as above.
            unsafe {
                let (fractions, three) = (vmulq_u8(bytes, powers), vdupq_n_u8(3));
                let low = vmull_u8(vget_low_u8(fractions), vget_low_u8(three));
                let high = vmull_high_u8(fractions, three);
                vuzp2q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high))
            }
        }

        #[inline(always)]
        unsafe fn where_set(bits: u16, byte: u8) -> uint8x16_t {
            // SAFETY: as above.
            unsafe {
                let select = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
                let [low, high] = bits.to_le_bytes();
                let bits = vcombine_u8(vdup_n_u8(low), vdup_n_u8(high));
                vandq_u8(vtstq_u8(bits, select), vdupq_n_u8(byte))
            }
        }

        #[inline(always)]
        unsafe fn no_ints() -> int32x4_t {
            // SAFETY: as above.
            unsafe { vdupq_n_s32(0) }
        }

        #[inline(always)]
        unsafe fn sub(a: int32x4_t, b: int32x4_t) -> int32x4_t {
            // SAFETY: as above.
            unsafe { vsubq_s32(a, b) }
        }

        #[inline(always)]
        unsafe fn shift_left(a: int32x4_t, by: usize) -> int32x4_t {
            // SAFETY: as above.
            unsafe { vshlq_s32(a, vdupq_n_s32(by as i32)) }
        }

        #[inline(always)]
        unsafe fn floats(a: int32x4_t) -> $floats {
            // SAFETY: as above.
            lanes::Neon(unsafe { vcvtq_f32_s32(a) })
        }

        #[inline(always)]
        unsafe fn above(_zero: u8, _x: [uint8x16_t; 2]) {}

        #[inline(always)]
        unsafe fn words_dot(sum: int32x4_t, a: *const i16, b: *const i16) -> int32x4_t {
            // SAFETY: as above.
            unsafe {
                let (a, b) = (vld1q_s16(a), vld1q_s16(b));
                vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b)
            }
        }
    };
}
pub(super) use byte_operations;

/// Bytes as signed numbers above `zero`.
#[inline(always)]
pub(super) unsafe fn signed(w: uint8x16_t, zero: u8) -> int8x16_t {
    // SAFETY: as above.
    unsafe { vreinterpretq_s8_u8(if zero == 0 { w } else { vsubq_u8(w, vdupq_n_u8(zero)) }) }
}

/// Products added by pairs, which fit 16 bits whatever the weights.
#[inline(always)]
unsafe fn pairs(w: int8x16_t, x: int8x16_t) -> int16x8_t {
    // SAFETY: as above.
    unsafe { vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)) }
}

impl Bytes16 for Neon {
    byte_operations!(lanes::Neon);

    #[inline(always)]
    unsafe fn enter<B: Body>(body: B) {
        // SAFETY: nothing has to be enabled; the caller vouches for the body.
        unsafe { body.run() }
    }

    #[inline(always)]
    unsafe fn dot32(_: Stored, zero: u8, w: [uint8x16_t; 2], x: [uint8x16_t; 2], _: ()) -> int32x4_t {
        // SAFETY: as above. Two products of at most 128 * 127 fit 16 bits.
        unsafe {
            let (w, x) = (w.map(|w| signed(w, zero)), x.map(|x| signed(x, 0)));
            let low = vmlal_s8(vmull_s8(vget_low_s8(w[0]), vget_low_s8(x[0])), vget_low_s8(w[1]), vget_low_s8(x[1]));
            let high = vmlal_high_s8(vmull_high_s8(w[0], x[0]), w[1], x[1]);
            vpadalq_s16(vpaddlq_s16(low), high)
        }
    }

    #[inline(always)]
    unsafe fn scaled_dot16(sum: int32x4_t, _: Stored, w: uint8x16_t, x: uint8x16_t, scale: i16) -> int32x4_t {
        // SAFETY: as above.
        unsafe {
            let pairs = pairs(signed(w, 0), signed(x, 0));
            vmlal_high_n_s16(vmlal_n_s16(sum, vget_low_s16(pairs), scale), pairs, scale)
        }
    }
}
