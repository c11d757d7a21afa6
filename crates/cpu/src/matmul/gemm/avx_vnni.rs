//! Eight tokens with AVX-VNNI. Activations are the unsigned operand (value + 128), as with AVX-512 VNNI.

use std::arch::x86_64::*;

use super::frame::Multiply;
use crate::lanes;
use crate::matmul::bytes16::Body;

pub(super) struct AvxVnni;

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
unsafe fn enter<B: Body>(body: B) {
    // SAFETY: the caller vouches for the machine and the body.
    unsafe { body.run() }
}

// SAFETY of every block below: the machine has the level, as the trait's callers promise.
impl Multiply for AvxVnni {
    type Bytes = __m256i;
    type Ints = __m256i;
    type Floats = lanes::Avx2;
    type Partial = __m256i;
    const STEPS: usize = 4;
    const STARTS: bool = true;

    #[inline(always)]
    unsafe fn enter<B: Body>(body: B) {
        // SAFETY: as above.
        unsafe { enter(body) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(four: i32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_set1_epi32(four) }
    }

    #[inline(always)]
    unsafe fn start(value: i32) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn open(sums: __m256i) -> __m256i {
        sums
    }

    #[inline(always)]
    unsafe fn step(partial: __m256i, w: __m256i, x: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_dpbusd_avx_epi32(partial, x, w) }
    }

    #[inline(always)]
    unsafe fn close(_: __m256i, partial: __m256i) -> __m256i {
        partial
    }

    #[inline(always)]
    unsafe fn floats(sums: __m256i) -> lanes::Avx2 {
        // SAFETY: as above.
        lanes::Avx2(unsafe { _mm256_cvtepi32_ps(sums) })
    }
}
