//! GEMV with AVX2: 32 products at a time, added by pairs with `vpmaddubsw`.
//!
//! Stored weights are the unsigned operand where they have at most six bits, and their signs, if they are apart, go to
//! the activations. Of wider ones the sign goes to the other operand, or takes the activation's, whose magnitude then is
//! the unsigned operand. Also the kernels of AVX-512 machines for the types that have none of their own there.

mod blocks32;
mod k_quants;
mod lattice;
mod legacy;
mod small;
mod super_blocks;
mod ternary;

use std::arch::x86_64::*;
use std::ops::Range;

use ascua_gguf::TensorType;

use super::{GemvKernel, RowsDot, drive};
use crate::matmul::quantised::Task;

pub(super) fn kernel(weight: TensorType) -> Option<GemvKernel> {
    use blocks32::Blocks32;
    use super_blocks::SuperBlocks;
    Some(match weight {
        TensorType::Q4_0 => run::<Blocks32<legacy::Q4_0>>,
        TensorType::Q4_1 => run::<Blocks32<legacy::Q4_1>>,
        TensorType::Q5_0 => run::<Blocks32<legacy::Q5_0>>,
        TensorType::Q5_1 => run::<Blocks32<legacy::Q5_1>>,
        TensorType::Q8_0 => run::<Blocks32<legacy::Q8_0>>,
        TensorType::IQ4_NL => run::<Blocks32<legacy::Iq4Nl>>,
        TensorType::MXFP4 => run::<Blocks32<legacy::Mxfp4>>,
        TensorType::Q2_K => run::<SuperBlocks<k_quants::Q2K>>,
        TensorType::Q3_K => run::<SuperBlocks<k_quants::Q3K>>,
        TensorType::Q4_K => run::<SuperBlocks<k_quants::Q4K>>,
        TensorType::Q5_K => run::<SuperBlocks<k_quants::Q5K>>,
        TensorType::Q6_K => run::<SuperBlocks<k_quants::Q6K>>,
        TensorType::Q1_0 => run::<Blocks32<small::Q1_0>>,
        TensorType::Q2_0 => run::<Blocks32<small::Q2_0>>,
        TensorType::NVFP4 => run::<Blocks32<small::Nvfp4>>,
        TensorType::TQ1_0 => run::<SuperBlocks<ternary::Tq1_0>>,
        TensorType::TQ2_0 => run::<SuperBlocks<ternary::Tq2_0>>,
        TensorType::IQ1_S => run::<SuperBlocks<lattice::Iq1S>>,
        TensorType::IQ1_M => run::<SuperBlocks<lattice::Iq1M>>,
        TensorType::IQ2_XXS => run::<SuperBlocks<lattice::Iq2Xxs>>,
        TensorType::IQ2_XS => run::<SuperBlocks<lattice::Iq2Xs>>,
        TensorType::IQ2_S => run::<SuperBlocks<lattice::Iq2S>>,
        TensorType::IQ3_XXS => run::<SuperBlocks<lattice::Iq3Xxs>>,
        TensorType::IQ3_S => run::<SuperBlocks<lattice::Iq3S>>,
        TensorType::IQ4_XS => run::<SuperBlocks<k_quants::Iq4Xs>>,
        _ => return None,
    })
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run<K: RowsDot>(task: Task<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the task and the machine.
    unsafe { drive::<K>(task, rows) }
}

/// Whether stored bytes are multiplied as they are, or which side's magnitude is, with both signs on the other side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// At most 63, so that a pair of products stays within 16 bits.
    Unsigned,
    /// The activation takes the stored value's sign.
    Signed,
    /// Above −128: the stored value takes the activation's sign, whose magnitude serves all rows.
    Symmetric,
}

/// Products of 32 stored weights and activations, added by pairs.
#[inline(always)]
unsafe fn pairs(stored: Stored, w: __m256i, x: __m256i) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        match stored {
            Stored::Unsigned => _mm256_maddubs_epi16(w, x),
            Stored::Signed => _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)),
            Stored::Symmetric => _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(w, x)),
        }
    }
}

#[inline(always)]
unsafe fn horizontal_sum(v: __m256) -> f32 {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// A byte of ones for each bit that is set, of the 32 bits in every lane.
#[inline(always)]
unsafe fn bytes_of_bits(bits: __m256i) -> __m256i {
    // SAFETY: AVX2 is the caller's.
    unsafe {
        let spread = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
        let select = _mm256_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
        _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(bits, spread), select), select)
    }
}

/// The half-precision numbers in the low 64 bits.
#[inline(always)]
unsafe fn halves(bits: u32) -> __m128 {
    // SAFETY: F16C is the caller's.
    unsafe { _mm_cvtph_ps(_mm_cvtsi32_si128(bits as i32)) }
}

/// Asks for the cache line a kilobyte further on in the stream; the address need not exist.
#[inline(always)]
unsafe fn prefetch(from: *const u8) {
    // SAFETY: prefetching never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(1024).cast()) };
}
