//! GEMV with AVX-512: unsigned weights times signed activations, by [`dot_products`].
//!
//! Stored weights are unsigned; what they lie above zero is taken off with the activations' sums.

pub(in crate::matmul) mod blocks32;
pub(in crate::matmul) mod by_lane;
mod dot_products;
pub(in crate::matmul) mod k_quants;
pub(in crate::matmul) mod lattice;
pub(in crate::matmul) mod legacy;
mod small;
pub(in crate::matmul) mod super_blocks;
mod ternary;

use std::arch::x86_64::*;

use ascua_gguf::TensorType;

use super::{Gemv, RowsDot};
use crate::isa::Isa;
use dot_products::{ByPairs, DotProducts, Vnni};

/// The kernel of a type at a level with AVX-512.
pub(super) fn kernel(weight: TensorType, isa: Isa) -> Option<Gemv> {
    match isa {
        Isa::Avx512 => kernel_by::<ByPairs>(weight),
        _ => kernel_by::<Vnni>(weight),
    }
}

fn kernel_by<D: DotProducts>(weight: TensorType) -> Option<Gemv> {
    use blocks32::Blocks32;
    use by_lane::ByLane;
    use super_blocks::SuperBlocks;
    Some(match weight {
        // Stored values of eight bits; and IQ2_S, where AVX2 is faster.
        TensorType::Q8_0 | TensorType::IQ2_S if D::BY_PAIRS => return None,
        TensorType::IQ4_NL if D::BY_PAIRS => gemv::<Blocks32<legacy::Iq4Nl<true>, D>, D>(),
        TensorType::Q4_K if D::BY_PAIRS => gemv::<ByLane<by_lane::k_quants::Q4K<true>, D>, D>(),
        TensorType::IQ4_XS if D::BY_PAIRS => gemv::<ByLane<by_lane::k_quants::Iq4Xs<true>, D>, D>(),
        TensorType::Q4_0 => gemv::<Blocks32<legacy::Q4_0, D>, D>(),
        TensorType::Q4_1 => gemv::<Blocks32<legacy::Q4_1, D>, D>(),
        TensorType::Q5_0 => gemv::<Blocks32<legacy::Q5_0, D>, D>(),
        TensorType::Q5_1 => gemv::<Blocks32<legacy::Q5_1, D>, D>(),
        TensorType::Q8_0 => gemv::<Blocks32<legacy::Q8_0, D>, D>(),
        TensorType::IQ4_NL => gemv::<Blocks32<legacy::Iq4Nl<false>, D>, D>(),
        TensorType::MXFP4 => gemv::<Blocks32<legacy::Mxfp4, D>, D>(),
        TensorType::Q2_K => gemv::<SuperBlocks<k_quants::Q2K, D>, D>(),
        TensorType::Q3_K => gemv::<ByLane<by_lane::k_quants::Q3K, D>, D>(),
        TensorType::Q4_K => gemv::<ByLane<by_lane::k_quants::Q4K<false>, D>, D>(),
        TensorType::Q5_K => gemv::<ByLane<by_lane::k_quants::Q5K, D>, D>(),
        TensorType::Q6_K => gemv::<SuperBlocks<k_quants::Q6K, D>, D>(),
        TensorType::Q1_0 => gemv::<Blocks32<small::Q1_0, D>, D>(),
        TensorType::Q2_0 => gemv::<Blocks32<small::Q2_0, D>, D>(),
        TensorType::NVFP4 => gemv::<Blocks32<small::Nvfp4, D>, D>(),
        TensorType::TQ1_0 => gemv::<SuperBlocks<ternary::Tq1_0, D>, D>(),
        TensorType::TQ2_0 => gemv::<SuperBlocks<ternary::Tq2_0, D>, D>(),
        TensorType::IQ4_XS => gemv::<ByLane<by_lane::k_quants::Iq4Xs<false>, D>, D>(),
        TensorType::IQ1_M => gemv::<SuperBlocks<lattice::Iq1M, D>, D>(),
        TensorType::IQ2_XXS => gemv::<ByLane<by_lane::lattice::Iq2Xxs, D>, D>(),
        TensorType::IQ2_XS => gemv::<ByLane<by_lane::lattice::Iq2Xs, D>, D>(),
        TensorType::IQ2_S => gemv::<SuperBlocks<lattice::Iq2S, D>, D>(),
        TensorType::IQ3_XXS => gemv::<ByLane<by_lane::lattice::Iq3Xxs, D>, D>(),
        TensorType::IQ3_S => gemv::<ByLane<by_lane::lattice::Iq3S, D>, D>(),
        _ => return None,
    })
}

fn gemv<K: RowsDot, D: DotProducts>() -> Gemv {
    Gemv { run: D::kernel::<K>(), order: K::ORDER }
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
