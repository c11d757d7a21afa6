//! Few tokens: the weights are streamed once, in their file layout, and multiplied with each token's row.
//!
//! Memory speed is the limit, so a work item's rows are cut into four quarters and one row of each is in flight: four
//! streams with prefetch reach what one cannot. Activations are loaded once for the rows in flight. Every row's sum is
//! formed in the same order however many rows and tokens go together.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod bytes16;

use std::ops::Range;

use ascua_gguf::TensorType;

use super::activation::{RowOrder, RowView};
#[cfg(target_arch = "x86_64")]
use super::bytes16::Sse41;
#[cfg(target_arch = "aarch64")]
use super::bytes16::{DotProd, Neon};
use super::quantised::Task;
use crate::isa::Isa;

/// Computes some rows for all tokens of a task whose activations are rows.
///
/// Sound to call on a machine with the level the kernel was made for.
pub(super) type GemvKernel = unsafe fn(task: Task<'_>, rows: Range<usize>);

/// A kernel, and the order in which it reads activations.
#[derive(Clone, Copy)]
pub(super) struct Gemv {
    pub run: GemvKernel,
    pub order: RowOrder,
}

/// The kernel of a type at a level, where there is one.
pub(super) fn kernel(weight: TensorType, isa: Isa) -> Option<Gemv> {
    let kernel = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Zen4 => match avx512::kernel(weight, isa) {
            Some(gemv) => return Some(gemv),
            None => avx2::kernel(weight),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => avx2::kernel(weight),
        #[cfg(target_arch = "x86_64")]
        Isa::Sse41 => bytes16::kernel::<Sse41>(weight),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => bytes16::kernel::<Neon>(weight),
        #[cfg(target_arch = "aarch64")]
        Isa::DotProd | Isa::I8mm => bytes16::kernel::<DotProd>(weight),
        _ => None,
    };
    kernel.map(|run| Gemv { run, order: RowOrder::Natural })
}

/// One type's dot products of `R` rows with `T` tokens.
trait RowsDot {
    const FOUR_BY_FOUR: FourByFour = FourByFour::PairsOfRows;
    /// How the values of the views are ordered.
    const ORDER: RowOrder = RowOrder::Natural;

    /// # Safety
    /// Each pointer has a row of `cols` elements; each view covers as many.
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R];
}

/// Where the signs of a super-block's weights are.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signs {
    InValues,
    /// In bits of their own.
    Apart,
}

/// Whether the two halves of a group of 32 have a scale together or each its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scales {
    PerGroup,
    PerHalf,
}

/// How four rows meet four tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FourByFour {
    /// Sixteen sums at once: with as many registers and more.
    Together,
    PairsOfRows,
}

/// The loops over rows and tokens around a type's dot products.
///
/// # Safety
/// As [`GemvKernel`]: the task's operands are as large as its layout says, and `rows` within the matrix.
#[inline(always)]
unsafe fn drive<K: RowsDot>(task: Task<'_>, rows: Range<usize>) {
    let quarter = rows.len() / 4;
    for i in 0..quarter {
        let first = rows.start + i;
        let streams = [first, first + quarter, first + 2 * quarter, first + 3 * quarter];
        let mut token = 0;
        while token < task.tokens {
            // SAFETY: rows and tokens stay within the task.
            unsafe {
                match task.tokens - token {
                    1 => block::<K, 4, 1>(&task, streams, token),
                    2 | 3 => block::<K, 4, 2>(&task, streams, token),
                    _ if K::FOUR_BY_FOUR == FourByFour::Together => block::<K, 4, 4>(&task, streams, token),
                    _ => {
                        block::<K, 2, 4>(&task, [streams[0], streams[1]], token);
                        block::<K, 2, 4>(&task, [streams[2], streams[3]], token);
                    }
                }
            }
            token += tokens_per_block(task.tokens - token);
        }
    }
    for row in rows.start + 4 * quarter..rows.end {
        let mut token = 0;
        while token < task.tokens {
            // SAFETY: rows and tokens stay within the task.
            unsafe {
                match task.tokens - token {
                    1 => block::<K, 1, 1>(&task, [row], token),
                    2 | 3 => block::<K, 1, 2>(&task, [row], token),
                    _ => block::<K, 1, 4>(&task, [row], token),
                }
            }
            token += tokens_per_block(task.tokens - token);
        }
    }
}

#[inline(always)]
fn tokens_per_block(left: usize) -> usize {
    match left {
        1 => 1,
        2 | 3 => 2,
        _ => 4,
    }
}

#[inline(always)]
unsafe fn block<K: RowsDot, const R: usize, const T: usize>(task: &Task<'_>, rows: [usize; R], token: usize) {
    // SAFETY: the caller keeps rows and token + T within the task.
    unsafe {
        let mut pointers = [task.weights.as_ptr(); R];
        for (pointer, row) in pointers.iter_mut().zip(rows) {
            *pointer = pointer.add(row * task.row_bytes);
        }
        let mut x = [task.layout.row(task.prepared, token); T];
        for (t, x) in x.iter_mut().enumerate() {
            *x = task.layout.row(task.prepared, token + t);
        }
        let results = K::dot::<R, T>(pointers, task.layout.cols, x);
        for (row, results) in rows.into_iter().zip(results) {
            for (t, result) in results.into_iter().enumerate() {
                *task.out.row(token + t).add(row) = result;
            }
        }
    }
}
