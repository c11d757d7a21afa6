//! Four F32 with NEON, which every 64-bit Arm processor has.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Lanes;

/// Four numbers.
#[derive(Clone, Copy)]
pub(crate) struct Neon(pub(crate) float32x4_t);

/// Instructions on existing vectors.
macro_rules! with_neon {
    ($work:expr) => {{
        // SAFETY: every 64-bit Arm processor has NEON.
        unsafe { $work }
    }};
}

/// Half precision to single. Subnormal halves keep their value also where subnormal singles count as zero.
#[inline(always)]
pub(crate) unsafe fn widen(halves: uint16x4_t) -> float32x4_t {
    let wide: float32x4_t;
    // SAFETY: an instruction of the baseline, on registers only.
    unsafe {
        asm!("fcvtl {wide:v}.4s, {halves:v}.4h", wide = lateout(vreg) wide, halves = in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

impl Lanes for Neon {
    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    type Mask = uint32x4_t;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Neon(with_neon!(vdupq_n_f32(value)))
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Neon(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 4];
        // SAFETY: readable for `count` numbers, which is less than four.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Neon(unsafe { widen(vld1_u16(from)) })
    }

    #[inline(always)]
    unsafe fn widen_f16(bits: u16) -> f32 {
        with_neon!(vgetq_lane_f32::<0>(widen(vdup_n_u16(bits))))
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Neon(unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from))) })
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: readable for four numbers, says the caller.
        Neon(unsafe {
            let four = vreinterpret_s8_s32(vdup_n_s32(from.cast::<i32>().read_unaligned()));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(four))))
        })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: writable for four numbers, says the caller.
        unsafe { vst1q_f32(to, self.0) };
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        let mut lanes = [0.0; 4];
        // SAFETY: writable for `count` numbers, which is less than four.
        unsafe {
            self.store(lanes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
        }
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16) {
        let narrow: uint16x4_t;
        // SAFETY: an instruction of the baseline on registers; `to` is writable for four numbers.
        unsafe {
            asm!("fcvtn {narrow:v}.4h, {wide:v}.4s", narrow = lateout(vreg) narrow, wide = in(vreg) self.0,
                options(pure, nomem, nostack, preserves_flags));
            vst1_u16(to, narrow);
        }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8) {
        // SAFETY: writable for four bytes, says the caller.
        unsafe {
            let words = vmovn_s32(vcvtq_s32_f32(self.0));
            let bytes = vmovn_s16(vcombine_s16(words, words));
            to.cast::<i32>().write_unaligned(vget_lane_s32::<0>(vreinterpret_s32_s8(bytes)));
        }
    }

    #[inline(always)]
    fn prefetch(address: *const u8) {
        // SAFETY: a hint that never faults.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Neon(with_neon!(vaddq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Neon(with_neon!(vsubq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Neon(with_neon!(vmulq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Neon(with_neon!(vdivq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Neon(with_neon!(vfmaq_f32(addend.0, self.0, factor.0)))
    }

    #[inline(always)]
    fn subtract_from(self, factor: Self, minuend: Self) -> Self {
        Neon(with_neon!(vfmsq_f32(minuend.0, self.0, factor.0)))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // Not `fmin`, which would keep a first operand that is not a number.
        Self::select(self.less(other), self, other)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(other.less(self), self, other)
    }

    #[inline(always)]
    fn round(self) -> Self {
        Neon(with_neon!(vrndnq_f32(self.0)))
    }

    #[inline(always)]
    fn scale_by_power(self, power: Self) -> Self {
        // In two halves: 2^power itself may be outside the range of F32.
        Neon(with_neon!({
            let power = vcvtq_s32_f32(power.0);
            let half = vshrq_n_s32::<1>(power);
            let rest = vsubq_s32(power, half);
            let bias = vdupq_n_s32(127);
            let first = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(half, bias)));
            let second = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(rest, bias)));
            vmulq_f32(vmulq_f32(self.0, first), second)
        }))
    }

    #[inline(always)]
    fn less(self, other: Self) -> uint32x4_t {
        with_neon!(vcltq_f32(self.0, other.0))
    }

    #[inline(always)]
    fn any(mask: uint32x4_t) -> bool {
        with_neon!(vmaxvq_u32(mask) != 0)
    }

    #[inline(always)]
    fn select(mask: uint32x4_t, yes: Self, no: Self) -> Self {
        Neon(with_neon!(vbslq_f32(mask, yes.0, no.0)))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        with_neon!(vaddvq_f32(self.0))
    }

    #[inline(always)]
    fn sum_each([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        with_neon!(vst1q_f32(sums.as_mut_ptr(), vpaddq_f32(vpaddq_f32(a.0, b.0), vpaddq_f32(c.0, d.0))));
        sums
    }

    #[inline(always)]
    fn maximum(self) -> f32 {
        with_neon!(vmaxnmvq_f32(self.0))
    }

    #[inline(always)]
    unsafe fn transpose(from: [*const f32; 16], to: [*mut f32; 16]) {
        // SAFETY: says the caller, of the pointers.
        unsafe {
            for i in (0..16).step_by(4) {
                for j in (0..16).step_by(4) {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|k| vld1q_f32(from[i + k].add(j)));
                    let pairs =
                        |a, b| (vreinterpretq_f64_f32(vzip1q_f32(a, b)), vreinterpretq_f64_f32(vzip2q_f32(a, b)));
                    let ((ab, ab_high), (cd, cd_high)) = (pairs(a, b), pairs(c, d));
                    let columns = [
                        vzip1q_f64(ab, cd),
                        vzip2q_f64(ab, cd),
                        vzip1q_f64(ab_high, cd_high),
                        vzip2q_f64(ab_high, cd_high),
                    ];
                    for (k, column) in columns.into_iter().enumerate() {
                        vst1q_f32(to[j + k].add(i), vreinterpretq_f32_f64(column));
                    }
                }
            }
        }
    }
}
