//! Products in F32 arithmetic: rows are decoded to floats, then multiplied with unquantised activations.
//!
//! The path of every type in exact precision, of the plain float types always, and of many tokens with `matmul::wide`.
//! Many tokens go through a GEMM; for few, plain types are read in place, and rows of the others are decoded to the
//! thread's scratch, some at a time. Invariant: the sum of one (row, token) pair is formed in the same order whatever
//! the tile and however many of the few tokens or of the many there are.

mod decoder;
mod plain;
mod stream;

use std::ops::Range;

use ascua_gguf::TensorType;

use super::activation::FloatLayout;
use super::gemm::float::FloatGemm;
use super::quantised::Task;
use super::{OutputRows, ahead};
use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
pub(super) use decoder::RowDecoder;
pub(super) use plain::PlainType;
use plain::{F32Weights, Weights};
use stream::Streamed;

/// Weights of one tile in the scratch: small enough to stay in the second cache level.
const TILE_BYTES: usize = 256 << 10;
const MAX_TILE_ROWS: usize = 64;
const MIN_TILE_ROWS: usize = 4;

/// A product of decoded rows with F32 activations.
#[derive(Clone, Copy)]
pub(super) struct ExactProduct {
    layout: FloatLayout,
    row_bytes: usize,
    decoder: RowDecoder,
    /// Types whose rows can be read in place.
    plain: Option<PlainType>,
    many: FloatGemm,
}

/// Consecutive decoded rows.
#[derive(Clone, Copy)]
struct DecodedTile {
    weights: *const f32,
    cols: usize,
    rows: usize,
    /// Number of the first row in the matrix: where its result goes.
    first_row: usize,
}

impl ExactProduct {
    pub fn new(weight: TensorType, cols: usize, row_bytes: usize, isa: Isa) -> ExactProduct {
        let decoder = RowDecoder::new(weight, isa);
        let many = FloatGemm::new(weight, decoder, isa);
        ExactProduct { layout: FloatLayout { cols, isa }, row_bytes, decoder, plain: PlainType::of(weight), many }
    }

    pub fn layout(&self) -> FloatLayout {
        self.layout
    }

    fn tile_rows(&self) -> usize {
        let fitting = TILE_BYTES / (self.layout.cols * size_of::<f32>()).max(1);
        (fitting & !3).clamp(MIN_TILE_ROWS, MAX_TILE_ROWS)
    }

    pub fn scratch_bytes(&self) -> usize {
        let few = if self.plain.is_some() { 0 } else { self.tile_rows() * self.layout.cols * size_of::<f32>() };
        few.max(FloatGemm::SCRATCH_BYTES)
    }

    /// # Safety
    /// As [`super::MatmulKernel::run`]; `scratch` is 64-byte aligned and has `scratch_bytes`.
    pub unsafe fn run(
        &self,
        weights: &[u8],
        prepared: *const u8,
        tokens: usize,
        rows: Range<usize>,
        out: OutputRows<'_>,
        scratch: *mut u8,
    ) {
        let FloatLayout { cols, isa } = self.layout;
        if self.layout.uses_panels(tokens) {
            let task = Task { weights, row_bytes: self.row_bytes, layout: self.layout, prepared, tokens, out };
            // SAFETY: the caller vouches for the operands, of which there are panels.
            return unsafe { self.many.run(task, rows, scratch) };
        }
        let x = Activations { data: prepared.cast(), stride: self.layout.stride() };
        if let Some(plain) = self.plain {
            let row_bytes = self.row_bytes;
            // SAFETY: `new` was given a level of this machine; the caller vouches for x and out.
            return unsafe { dispatch(isa, Streamed { plain, weights, row_bytes, cols, x, tokens, out, rows }) };
        }
        let scratch = scratch.cast::<f32>();
        let mut first_row = rows.start;
        while first_row < rows.end {
            let tile_rows = self.tile_rows().min(rows.end - first_row);
            // SAFETY: the scratch holds tile_rows() rows of cols floats.
            let decoded = unsafe { std::slice::from_raw_parts_mut(scratch, tile_rows * cols) };
            for (row, decoded) in (first_row..).zip(decoded.chunks_exact_mut(cols)) {
                let bytes = &weights[row * self.row_bytes..(row + 1) * self.row_bytes];
                // SAFETY: the decoder was made for a level of this machine.
                unsafe { self.decoder.decode(bytes, decoded) };
            }
            let tile = DecodedTile { weights: scratch, cols, rows: tile_rows, first_row };
            // SAFETY: the tile was just decoded; the caller vouches for x, out and the machine's level.
            unsafe { dispatch(isa, TileProduct { tile, x, tokens, out }) };
            first_row += tile_rows;
        }
    }
}

/// F32 activations prepared for exact products.
#[derive(Clone, Copy)]
pub(super) struct Activations {
    pub data: *const f32,
    pub stride: usize,
}

/// Decoded rows times few tokens; the pointers hold `rows * cols` and `tokens * stride` floats.
struct TileProduct<'a> {
    tile: DecodedTile,
    x: Activations,
    tokens: usize,
    out: OutputRows<'a>,
}

impl Kernel for TileProduct<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the maker vouches for the operands.
        unsafe {
            match V::REGISTERS {
                32.. => self.loops::<V, 4, 4>(),
                16.. => self.loops::<V, 4, 2>(),
                _ => self.loops::<V, 2, 2>(),
            }
        }
    }
}

impl TileProduct<'_> {
    #[inline(always)]
    unsafe fn loops<V: Lanes, const R: usize, const T: usize>(self) {
        let TileProduct { tile, x, tokens, out } = self;
        let mut token = 0;
        while token < tokens {
            let x = Activations { data: x.data.wrapping_add(token * x.stride), stride: x.stride };
            let wide = token + T <= tokens;
            let mut row = 0;
            while row < tile.rows {
                let tall = row + R <= tile.rows;
                // SAFETY: the blocks stay within the tile and the tokens, as just compared.
                unsafe {
                    match (tall, wide) {
                        (true, true) => tile_block::<V, R, T>(tile, row, x, token, out),
                        (true, false) => tile_block::<V, R, 1>(tile, row, x, token, out),
                        (false, true) => tile_block::<V, 1, T>(tile, row, x, token, out),
                        (false, false) => tile_block::<V, 1, 1>(tile, row, x, token, out),
                    }
                }
                row += if tall { R } else { 1 };
            }
            token += if wide { T } else { 1 };
        }
    }
}

#[inline(always)]
unsafe fn tile_block<V: Lanes, const R: usize, const T: usize>(
    tile: DecodedTile,
    row: usize,
    x: Activations,
    token: usize,
    out: OutputRows<'_>,
) {
    let mut rows = [tile.weights.cast::<u8>(); R];
    for (r, pointer) in rows.iter_mut().enumerate() {
        *pointer = pointer.wrapping_add((row + r) * tile.cols * size_of::<f32>());
    }
    // SAFETY: the caller keeps row + R and token + T within the tile and the activations.
    unsafe {
        let sums = block::<V, F32Weights, R, T, false>(rows, tile.cols, x);
        for (r, sums) in sums.into_iter().enumerate() {
            for (t, sum) in sums.into_iter().enumerate() {
                *out.row(token + t).add(tile.first_row + row + r) = sum;
            }
        }
    }
}

/// `R` rows times the first `T` tokens of `x`: one vector of sums each, whatever R and T. Rows that are `STREAMED` are
/// asked for ahead.
#[inline(always)]
unsafe fn block<V: Lanes, W: Weights, const R: usize, const T: usize, const STREAMED: bool>(
    rows: [*const u8; R],
    cols: usize,
    x: Activations,
) -> [[f32; T]; R] {
    // SAFETY: the caller's rows and tokens have `cols` elements; k stays below.
    unsafe {
        let ahead = if STREAMED { ahead::bytes() } else { 0 };
        let mut sums = [[V::splat(0.0); T]; R];
        let whole = cols - cols % V::LANES;
        let mut k = 0;
        while k < whole {
            let mut xs = [V::splat(0.0); T];
            for (t, x_lanes) in xs.iter_mut().enumerate() {
                *x_lanes = V::load(x.data.add(t * x.stride + k));
            }
            for (row, sums) in rows.iter().zip(&mut sums) {
                if STREAMED && k * W::BYTES % 64 < V::LANES * W::BYTES {
                    V::prefetch(row.wrapping_add(k * W::BYTES + ahead));
                }
                let w = W::lanes::<V>(row.add(k * W::BYTES));
                for (sum, x_lanes) in sums.iter_mut().zip(xs) {
                    *sum = w.mul_add(x_lanes, *sum);
                }
            }
            k += V::LANES;
        }
        let mut out = [[0.0; T]; R];
        for ((row, sums), out) in rows.iter().zip(sums).zip(&mut out) {
            for (t, (sum, out)) in sums.into_iter().zip(out).enumerate() {
                *out = sum.sum();
                for k in whole..cols {
                    *out += W::one::<V>(row.add(k * W::BYTES)) * *x.data.add(t * x.stride + k);
                }
            }
        }
        out
    }
}
