//! The plain kernel: a row is decoded to 8-bit integers, then multiplied with each token.
//!
//! In scalar form the reference of the other kernels on the same integers; on every level the kernel of the types
//! that have none of their own.

mod bytes16;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

use super::Task;
use crate::isa::Isa;
use crate::matmul::activation::RowView;
use crate::matmul::integers::{IntegerFormat, Offsets, SPAN};

/// The plain kernel, compiled for one level.
#[derive(Clone, Copy)]
pub(super) struct RowsKernel {
    dot: DotRow,
}

/// A decoded row times one token.
type DotRow = unsafe fn(row: &DecodedRow<'_>, x: RowView) -> f32;

struct DecodedRow<'a> {
    values: &'a [i8],
    scales: &'a [f32],
    /// Padded with zeros to whole eights; empty where the type has none.
    offsets: &'a [f32],
    group: usize,
}

impl RowsKernel {
    pub fn new(isa: Isa) -> RowsKernel {
        RowsKernel {
            dot: match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni | Isa::Avx512Zen4 => x86::dot_vnni,
                #[cfg(target_arch = "x86_64")]
                Isa::AvxVnni => x86::dot_avx_vnni,
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 | Isa::Avx512 => x86::dot_avx2,
                #[cfg(target_arch = "x86_64")]
                Isa::Sse41 => bytes16::dot::<crate::matmul::bytes16::Sse41>,
                #[cfg(target_arch = "aarch64")]
                Isa::Neon => bytes16::dot::<crate::matmul::bytes16::Neon>,
                #[cfg(target_arch = "aarch64")]
                Isa::DotProd | Isa::I8mm => bytes16::dot::<crate::matmul::bytes16::DotProd>,
                _ => dot_scalar,
            },
        }
    }

    pub fn scratch_bytes(cols: usize) -> usize {
        cols.next_multiple_of(64) + 2 * cols.div_ceil(16).next_multiple_of(8) * size_of::<f32>()
    }

    /// # Safety
    /// As [`super::QuantisedProduct::run`].
    pub unsafe fn run(&self, format: &IntegerFormat, task: Task<'_>, rows: Range<usize>, scratch: *mut u8) {
        let cols = task.layout.cols;
        let groups = (cols / format.group).next_multiple_of(8);
        // SAFETY: the scratch has room for the three arrays and is aligned for floats; the values are initialised.
        let (values, scales, offsets) = unsafe {
            let scales_at = scratch.add(cols.next_multiple_of(64));
            scratch.write_bytes(0, Self::scratch_bytes(cols));
            let scales = scales_at.cast::<f32>();
            (
                std::slice::from_raw_parts_mut(scratch.cast::<i8>(), cols),
                std::slice::from_raw_parts_mut(scales, groups),
                std::slice::from_raw_parts_mut(scales.add(groups), groups),
            )
        };
        for row in rows {
            // SAFETY: the decoder was made for this machine's level.
            unsafe { (format.decode)(task.row(row), values, scales, offsets) };
            let offsets = if format.offsets == Offsets::None { &[][..] } else { &*offsets };
            let decoded = DecodedRow { values, scales, offsets, group: format.group };
            for token in 0..task.tokens {
                // SAFETY: the activations cover `cols` elements of every token; the row is writable.
                unsafe {
                    let result = (self.dot)(&decoded, task.layout.row(task.prepared, token));
                    *task.out.row(token).add(row) = result;
                }
            }
        }
    }
}

/// The sum over spans of `scale * activation scale * integer dot`, each span summed on its own.
#[inline(always)]
unsafe fn dot(row: &DecodedRow<'_>, x: RowView) -> f32 {
    // SAFETY: the caller's token covers as many elements as the row.
    let (values, scales, sums16) = unsafe {
        (
            std::slice::from_raw_parts(x.values, row.values.len()),
            std::slice::from_raw_parts(x.scales, row.values.len() / 32),
            std::slice::from_raw_parts(x.sums16, row.values.len() / 16),
        )
    };
    let mut total = 0.0;
    for (span, (w, x)) in row.values.chunks(SPAN).zip(values.chunks(SPAN)).enumerate() {
        let mut sum = 0.0;
        for (g, (w, x)) in w.chunks(row.group).zip(x.chunks(row.group)).enumerate() {
            let group = span * (SPAN / row.group) + g;
            let product = match (w.as_array::<32>(), x.as_array::<32>()) {
                (Some(w), Some(x)) => integer_dot(w, x),
                _ => integer_dot(w, x),
            };
            let mut scaled = row.scales[group] * product as f32;
            if let Some(offset) = row.offsets.get(group) {
                let first = group * row.group / 16;
                let of_x: i32 = sums16[first..first + row.group / 16].iter().map(|sum| i32::from(*sum)).sum();
                scaled += offset * of_x as f32;
            }
            sum += scaled * scales[group * row.group / 32];
        }
        total += sum;
    }
    total
}

#[inline(always)]
fn integer_dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

unsafe fn dot_scalar(row: &DecodedRow<'_>, x: RowView) -> f32 {
    // SAFETY: the caller vouches for the same.
    unsafe { dot(row, x) }
}
