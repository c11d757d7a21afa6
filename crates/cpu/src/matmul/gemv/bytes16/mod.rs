//! GEMV sixteen bytes at a time: SSE4.1, NEON and NEON's dot products.

mod blocks32;
mod k_quants;
mod lattice;
mod legacy;
mod small;
mod super_blocks;
mod ternary;

use std::marker::PhantomData;
use std::ops::Range;

use ascua_gguf::TensorType;

use super::{GemvKernel, RowsDot, drive};
use crate::lanes::Lanes;
use crate::matmul::bytes16::{Body, Bytes16};
use crate::matmul::quantised::Task;

pub(super) fn kernel<V: Bytes16>(weight: TensorType) -> Option<GemvKernel> {
    use blocks32::Blocks32;
    use super_blocks::SuperBlocks;
    Some(match weight {
        TensorType::Q4_0 => run::<V, Blocks32<V, legacy::Q4_0>>,
        TensorType::Q4_1 => run::<V, Blocks32<V, legacy::Q4_1>>,
        TensorType::Q5_0 => run::<V, Blocks32<V, legacy::Q5_0>>,
        TensorType::Q5_1 => run::<V, Blocks32<V, legacy::Q5_1>>,
        TensorType::Q8_0 => run::<V, Blocks32<V, legacy::Q8_0>>,
        TensorType::IQ4_NL => run::<V, Blocks32<V, legacy::Iq4Nl>>,
        TensorType::MXFP4 => run::<V, Blocks32<V, legacy::Mxfp4>>,
        TensorType::Q2_K => run::<V, SuperBlocks<V, k_quants::Q2K>>,
        TensorType::Q3_K => run::<V, SuperBlocks<V, k_quants::Q3K>>,
        TensorType::Q4_K => run::<V, SuperBlocks<V, k_quants::Q4K>>,
        TensorType::Q5_K => run::<V, SuperBlocks<V, k_quants::Q5K>>,
        TensorType::Q6_K => run::<V, SuperBlocks<V, k_quants::Q6K>>,
        TensorType::Q1_0 => run::<V, Blocks32<V, small::Q1_0>>,
        TensorType::Q2_0 => run::<V, Blocks32<V, small::Q2_0>>,
        TensorType::NVFP4 => run::<V, Blocks32<V, small::Nvfp4>>,
        TensorType::TQ1_0 => run::<V, SuperBlocks<V, ternary::Tq1_0>>,
        TensorType::TQ2_0 => run::<V, SuperBlocks<V, ternary::Tq2_0>>,
        TensorType::IQ1_S => run::<V, SuperBlocks<V, lattice::Iq1S>>,
        TensorType::IQ1_M => run::<V, SuperBlocks<V, lattice::Iq1M>>,
        TensorType::IQ2_XXS => run::<V, SuperBlocks<V, lattice::Iq2Xxs>>,
        TensorType::IQ2_XS => run::<V, SuperBlocks<V, lattice::Iq2Xs>>,
        TensorType::IQ2_S => run::<V, SuperBlocks<V, lattice::Iq2S>>,
        TensorType::IQ3_XXS => run::<V, SuperBlocks<V, lattice::Iq3Xxs>>,
        TensorType::IQ3_S => run::<V, SuperBlocks<V, lattice::Iq3S>>,
        TensorType::IQ4_XS => run::<V, SuperBlocks<V, k_quants::Iq4Xs>>,
        _ => return None,
    })
}

unsafe fn run<V: Bytes16, K: RowsDot>(task: Task<'_>, rows: Range<usize>) {
    // SAFETY: the caller vouches for the task and the machine.
    unsafe { V::enter(Drive::<K> { task, rows, kernel: PhantomData }) }
}

/// [`drive`] as the body of a level.
struct Drive<'a, K> {
    task: Task<'a>,
    rows: Range<usize>,
    kernel: PhantomData<K>,
}

impl<K: RowsDot> Body for Drive<'_, K> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the maker vouches for the task.
        unsafe { drive::<K>(self.task, self.rows) }
    }
}

/// Asks for the cache line a kilobyte further on in the stream; the address need not exist.
#[inline(always)]
fn prefetch<V: Bytes16>(from: *const u8) {
    V::Floats::prefetch(from.wrapping_add(1024));
}
