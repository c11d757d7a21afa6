//! The exact kernel in plain Rust: eight independent sums, which the compiler keeps in baseline vectors.

use super::{DecodedTile, FloatVector, OutputRows, tile_loops};

impl FloatVector for [f32; 8] {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has eight readable floats at `from`.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, b: Self, sum: Self) -> Self {
        std::array::from_fn(|i| self[i] * b[i] + sum[i])
    }

    #[inline(always)]
    unsafe fn horizontal_sum(self) -> f32 {
        let half: [f32; 4] = std::array::from_fn(|i| self[i] + self[i + 4]);
        (half[0] + half[2]) + (half[1] + half[3])
    }
}

/// # Safety
/// The tile, the activations and the output rows are as [`super::MultiplyTile`] says.
pub(super) unsafe fn multiply_tile(
    tile: DecodedTile,
    x: *const f32,
    x_stride: usize,
    tokens: usize,
    out: OutputRows<'_>,
) {
    // SAFETY: the caller vouches for the same.
    unsafe { tile_loops::<[f32; 8], 2, 2>(tile, x, x_stride, tokens, out) }
}
