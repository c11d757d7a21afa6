//! GEMV with AVX-512 VNNI: unsigned weights times signed activations, `vpdpbusd`.
//!
//! Stored weights are unsigned; what they lie above zero is taken off with the activations' sums.

pub(in crate::matmul) mod blocks32;
pub(in crate::matmul) mod by_lane;
pub(in crate::matmul) mod k_quants;
pub(in crate::matmul) mod lattice;
pub(in crate::matmul) mod legacy;
mod small;
pub(in crate::matmul) mod super_blocks;
mod ternary;

use std::arch::x86_64::*;
use std::ops::Range;

use ascua_gguf::TensorType;

use super::{Gemv, RowsDot, drive};
use crate::matmul::quantised::Task;

pub(super) fn kernel(weight: TensorType) -> Option<Gemv> {
    use blocks32::Blocks32;
    use by_lane::ByLane;
    use super_blocks::SuperBlocks;
    Some(match weight {
        TensorType::Q4_0 => gemv::<Blocks32<legacy::Q4_0>>(),
        TensorType::Q4_1 => gemv::<Blocks32<legacy::Q4_1>>(),
        TensorType::Q5_0 => gemv::<Blocks32<legacy::Q5_0>>(),
        TensorType::Q5_1 => gemv::<Blocks32<legacy::Q5_1>>(),
        TensorType::Q8_0 => gemv::<Blocks32<legacy::Q8_0>>(),
        TensorType::IQ4_NL => gemv::<Blocks32<legacy::Iq4Nl>>(),
        TensorType::MXFP4 => gemv::<Blocks32<legacy::Mxfp4>>(),
        TensorType::Q2_K => gemv::<SuperBlocks<k_quants::Q2K>>(),
        TensorType::Q3_K => gemv::<ByLane<by_lane::k_quants::Q3K>>(),
        TensorType::Q4_K => gemv::<ByLane<by_lane::k_quants::Q4K>>(),
        TensorType::Q5_K => gemv::<ByLane<by_lane::k_quants::Q5K>>(),
        TensorType::Q6_K => gemv::<SuperBlocks<k_quants::Q6K>>(),
        TensorType::Q1_0 => gemv::<Blocks32<small::Q1_0>>(),
        TensorType::Q2_0 => gemv::<Blocks32<small::Q2_0>>(),
        TensorType::NVFP4 => gemv::<Blocks32<small::Nvfp4>>(),
        TensorType::TQ1_0 => gemv::<SuperBlocks<ternary::Tq1_0>>(),
        TensorType::TQ2_0 => gemv::<SuperBlocks<ternary::Tq2_0>>(),
        TensorType::IQ4_XS => gemv::<ByLane<by_lane::k_quants::Iq4Xs>>(),
        TensorType::IQ1_M => gemv::<SuperBlocks<lattice::Iq1M>>(),
        TensorType::IQ2_XXS => gemv::<ByLane<by_lane::lattice::Iq2Xxs>>(),
        TensorType::IQ2_XS => gemv::<ByLane<by_lane::lattice::Iq2Xs>>(),
        TensorType::IQ2_S => gemv::<SuperBlocks<lattice::Iq2S>>(),
        TensorType::IQ3_XXS => gemv::<ByLane<by_lane::lattice::Iq3Xxs>>(),
        TensorType::IQ3_S => gemv::<ByLane<by_lane::lattice::Iq3S>>(),
        _ => return None,
    })
}

fn gemv<K: RowsDot>() -> Gemv {
    Gemv { run: run::<K>, order: K::ORDER }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn run<K: RowsDot>(task: Task<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the task and the machine.
    unsafe { drive::<K>(task, rows) }
}

/// Asks for the cache lines of `BYTES` that lie `ahead` of a place; the addresses need not exist.
#[inline(always)]
unsafe fn prefetch<const BYTES: usize>(from: *const u8, ahead: usize) {
    let from = from.wrapping_add(ahead);
    let mut at = 0;
    while at < BYTES {
        // SAFETY: prefetching never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast()) };
        at += 64;
    }
}

/// Negates the bytes whose bit is set.
#[inline(always)]
pub(in crate::matmul) unsafe fn negated(bytes: __m512i, signs: u64) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe { _mm512_mask_sub_epi8(bytes, signs, _mm512_setzero_si512(), bytes) }
}
