//! Sums of four products in 32 bits: an instruction with VNNI, three by pairs without.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::{GemvKernel, RowsDot, drive};
use crate::matmul::quantised::Task;

/// How a level adds products.
///
/// # Safety
/// Every function may be called where the machine has the level.
pub(super) trait DotProducts {
    /// Whether products are added by pairs in 16 bits first, where those of stored values above 128 may not fit.
    const BY_PAIRS: bool;

    /// The loops around a type's products, compiled for the level.
    fn kernel<K: RowsDot>() -> GemvKernel;
    /// Adds the four products of unsigned `w` and signed `x` to each 32-bit sum.
    unsafe fn add(sums: __m512i, w: __m512i, x: __m512i) -> __m512i;
    /// Adds the two products of 16 bits to each 32-bit sum.
    unsafe fn add_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i;
}

/// `vpdpbusd` and `vpdpwssd`.
pub(super) struct Vnni;

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn run_with_vnni<K: RowsDot>(task: Task<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the task and the machine.
    unsafe { drive::<K>(task, rows) }
}

impl DotProducts for Vnni {
    const BY_PAIRS: bool = false;

    fn kernel<K: RowsDot>() -> GemvKernel {
        run_with_vnni::<K>
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, w: __m512i, x: __m512i) -> __m512i {
        // SAFETY: the machine has the level.
        unsafe { _mm512_dpbusd_epi32(sums, w, x) }
    }

    #[inline(always)]
    unsafe fn add_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the machine has the level.
        unsafe { add_pairs(sums, a, b) }
    }
}

/// The intrinsic may become a multiplication and an addition, which saves latency but costs throughput.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn add_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    let mut sums = sums;
    // SAFETY: the instruction only touches its registers.
    unsafe {
        std::arch::asm!(
            "vpdpwssd {sums}, {a}, {b}",
            sums = inout(zmm_reg) sums, a = in(zmm_reg) a, b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// `vpmaddubsw`, `vpmaddwd` and an addition.
pub(super) struct ByPairs;

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn run_by_pairs<K: RowsDot>(task: Task<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the task and the machine.
    unsafe { drive::<K>(task, rows) }
}

impl DotProducts for ByPairs {
    const BY_PAIRS: bool = true;

    fn kernel<K: RowsDot>() -> GemvKernel {
        run_by_pairs::<K>
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, w: __m512i, x: __m512i) -> __m512i {
        // SAFETY: the machine has the level.
        unsafe { Self::add_pairs(sums, _mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)) }
    }

    #[inline(always)]
    unsafe fn add_pairs(sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the machine has the level.
        unsafe { _mm512_add_epi32(sums, _mm512_madd_epi16(a, b)) }
    }
}
