//! Attention of a few rows (generation): one pass over keys and values serves all query heads of a key head.
//!
//! Elements of a head lie along the vectors. Keys and values are read from the cache directly where vectors can be
//! loaded from its type, and through a decoded tile otherwise.

use std::ops::Range;

use super::codec::{Codec, PADDING, decode};
use super::tiling::{FEW_ROWS, TILE_KEYS};
use super::{AttentionKernel, Call, ValueSource};
use crate::lanes::{Kernel, Lanes, exp, tanh};

/// Offsets of the scratch, in numbers.
pub(super) struct Layout {
    /// Elements of a decoded key and value row.
    key_stride: usize,
    value_stride: usize,
    keys: usize,
    values: usize,
    scores: usize,
    sums: usize,
    pub(super) floats: usize,
}

impl Layout {
    pub(super) fn new(kernel: &AttentionKernel) -> Layout {
        let key_stride = kernel.spec.key_size.next_multiple_of(PADDING);
        let value_stride = kernel.values.size.next_multiple_of(PADDING);
        let keys = FEW_ROWS * key_stride;
        let values = keys + TILE_KEYS * key_stride;
        let scores = values + TILE_KEYS * value_stride;
        let sums = scores + FEW_ROWS * TILE_KEYS;
        Layout { key_stride, value_stride, keys, values, scores, sums, floats: sums + FEW_ROWS * value_stride }
    }
}

pub(super) struct FewRows<'a>(pub(super) Call<'a>);

/// Where the rows of a tile of keys or values start.
type Pointers = [*const u8; TILE_KEYS];

/// A type of which vectors can be loaded.
trait Element {
    const BYTES: usize;
    /// # Safety
    /// A vector of elements is readable; the machine has the instructions of `V`.
    unsafe fn load<V: Lanes>(from: *const u8) -> V;
}

struct F32;
struct F16;
struct Bf16;

impl Element for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const u8) -> V {
        // SAFETY: as the caller promises.
        unsafe { V::load(from.cast()) }
    }
}

impl Element for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const u8) -> V {
        // SAFETY: as the caller promises.
        unsafe { V::load_f16(from.cast()) }
    }
}

impl Element for Bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const u8) -> V {
        // SAFETY: as the caller promises.
        unsafe { V::load_bf16(from.cast()) }
    }
}

impl Kernel for FewRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let call = &self.0;
        let (kernel, tile, rows) = (call.kernel, &call.tile, call.rows());
        let layout = Layout::new(kernel);
        let (query, scores) = (call.scratch, call.scratch.wrapping_add(layout.scores));
        let sums = call.scratch.wrapping_add(layout.sums);
        let mut largest = [f32::MIN; FEW_ROWS];
        let mut totals = [0.0; FEW_ROWS];
        // SAFETY: the scratch has the layout's size; positions of the tile are in the sequence's blocks.
        unsafe {
            for row in 0..rows {
                let (from, to) = (call.query_row(row), query.add(row * layout.key_stride));
                for i in 0..layout.key_stride {
                    *to.add(i) = if i < kernel.spec.key_size { *from.add(i) * kernel.spec.scale } else { 0.0 };
                }
                (largest[row], totals[row]) = call.start(row);
                for i in 0..layout.value_stride {
                    *sums.add(row * layout.value_stride + i) = 0.0;
                }
            }
            for keys in tile.keys.tiles() {
                let n = keys.len();
                let mut key_rows = [std::ptr::null(); TILE_KEYS];
                let mut value_rows = [std::ptr::null(); TILE_KEYS];
                for (i, position) in keys.clone().enumerate() {
                    key_rows[i] = kernel.key_row(&call.step.cache, tile.blocks, position, tile.kv_head).cast_const();
                    value_rows[i] =
                        kernel.value_row(&call.step.cache, tile.blocks, position, tile.kv_head).cast_const();
                }
                let key_codec = readable::<V>(
                    kernel.keys.codec,
                    kernel.keys.size,
                    &mut key_rows[..n],
                    call.scratch.add(layout.keys),
                    layout.key_stride,
                );
                let value_codec = match kernel.spec.values {
                    ValueSource::KeyPrefix => {
                        value_rows = key_rows;
                        key_codec
                    }
                    ValueSource::Cache(_) => {
                        let decoded = call.scratch.add(layout.values);
                        readable::<V>(
                            kernel.values.codec,
                            kernel.values.size,
                            &mut value_rows[..n],
                            decoded,
                            layout.value_stride,
                        )
                    }
                };
                let width = kernel.spec.key_size.next_multiple_of(V::LANES);
                // While this tile is worked on, the next one's rows come in.
                let next = keys.end..(keys.end + TILE_KEYS).min(tile.keys.end);
                let mut next_keys = [std::ptr::null(); TILE_KEYS];
                let mut next_values = [std::ptr::null(); TILE_KEYS];
                for (i, position) in next.enumerate() {
                    next_keys[i] = kernel.key_row(&call.step.cache, tile.blocks, position, tile.kv_head).cast_const();
                    next_values[i] =
                        kernel.value_row(&call.step.cache, tile.blocks, position, tile.kv_head).cast_const();
                }
                let mut row = 0;
                while row < rows {
                    let dots = Dots {
                        keys: &key_rows,
                        n,
                        next: Next { rows: &next_keys, bytes: if row == 0 { kernel.keys.bytes } else { 0 } },
                        query: query.add(row * layout.key_stride),
                        query_stride: layout.key_stride,
                        width,
                        scores: scores.add(row * TILE_KEYS),
                    };
                    row += match key_codec {
                        Codec::F16 => dots.some_rows::<V, F16>(rows - row),
                        Codec::Bf16 => dots.some_rows::<V, Bf16>(rows - row),
                        _ => dots.some_rows::<V, F32>(rows - row),
                    };
                }
                let mut factors = [1.0; FEW_ROWS];
                for row in 0..rows {
                    let scores = scores.add(row * TILE_KEYS);
                    (largest[row], totals[row], factors[row]) =
                        weigh::<V>(call, row, &keys, scores, largest[row], totals[row]);
                }
                let mut row = 0;
                while row < rows {
                    let mixed = Mix {
                        values: &value_rows,
                        n,
                        next: Next { rows: &next_values, bytes: if row == 0 { kernel.values.bytes } else { 0 } },
                        weights: scores.add(row * TILE_KEYS),
                        factors: factors.as_ptr().add(row),
                        width: kernel.spec.value_size.next_multiple_of(V::LANES),
                        sums: sums.add(row * layout.value_stride),
                        stride: layout.value_stride,
                    };
                    row += match value_codec {
                        Codec::F16 => mixed.some_rows::<V, F16>(rows - row),
                        Codec::Bf16 => mixed.some_rows::<V, Bf16>(rows - row),
                        _ => mixed.some_rows::<V, F32>(rows - row),
                    };
                }
            }
            for row in 0..rows {
                let (out, factor) = call.finish_row(row, largest[row], totals[row]);
                let sums = sums.add(row * layout.value_stride);
                for i in 0..kernel.spec.value_size {
                    *out.add(i) = *sums.add(i) * factor;
                }
            }
            call.finish();
        }
    }
}

/// Makes rows loadable as vectors: they stay where they are, or are decoded and the pointers moved to the copies.
/// Returns what the pointers then lead to.
/// # Safety
/// The rows are of `size` elements; `decoded` has room for them all, `stride` apart.
#[inline(always)]
unsafe fn readable<V: Lanes>(
    codec: Codec,
    size: usize,
    rows: &mut [*const u8],
    decoded: *mut f32,
    stride: usize,
) -> Codec {
    if matches!(codec, Codec::F32 | Codec::F16 | Codec::Bf16) && size.is_multiple_of(V::LANES) {
        return codec;
    }
    for (i, row) in rows.iter_mut().enumerate() {
        // SAFETY: as the caller promises; `stride` is `size` rounded up.
        unsafe {
            let to = decoded.add(i * stride);
            decode::<V>(codec, *row, size, to);
            *row = to.cast_const().cast();
        }
    }
    Codec::F32
}

/// Rows that are wanted soon, of so many bytes.
struct Next<'a> {
    rows: &'a Pointers,
    bytes: usize,
}

impl Next<'_> {
    #[inline(always)]
    fn prefetch<V: Lanes>(&self, row: usize) {
        let mut i = 0;
        while i < self.bytes {
            V::prefetch(self.rows[row].wrapping_add(i));
            i += 64;
        }
    }
}

/// Dot products of queries with the keys of a tile.
struct Dots<'a> {
    keys: &'a Pointers,
    n: usize,
    next: Next<'a>,
    query: *const f32,
    query_stride: usize,
    /// Elements, in whole vectors.
    width: usize,
    /// `[rows][TILE_KEYS]`
    scores: *mut f32,
}

impl Dots<'_> {
    /// Does up to four rows and returns how many.
    /// # Safety
    /// Rows and scratch are as the fields say; the machine has the instructions of `V`.
    #[inline(always)]
    unsafe fn some_rows<V: Lanes, E: Element>(&self, left: usize) -> usize {
        // SAFETY: passed on.
        unsafe {
            match left {
                1 => self.rows::<V, E, 1>(),
                2 => self.rows::<V, E, 2>(),
                3 => self.rows::<V, E, 3>(),
                _ => self.rows::<V, E, 4>(),
            }
        }
        left.min(4)
    }

    #[inline(always)]
    unsafe fn rows<V: Lanes, E: Element, const R: usize>(&self) {
        // SAFETY: keys beyond the last are read as the last, and their scores lie below `TILE_KEYS`.
        unsafe {
            let mut key = 0;
            while key < self.n {
                let last = self.n - 1;
                (key..key + 4).for_each(|row| self.next.prefetch::<V>(row));
                let keys = [
                    self.keys[key],
                    self.keys[(key + 1).min(last)],
                    self.keys[(key + 2).min(last)],
                    self.keys[(key + 3).min(last)],
                ];
                let mut sums = [[V::splat(0.0); 4]; R];
                let mut i = 0;
                while i < self.width {
                    let mut k = [V::splat(0.0); 4];
                    let mut j = 0;
                    while j < 4 {
                        k[j] = E::load::<V>(keys[j].add(i * E::BYTES));
                        j += 1;
                    }
                    let mut r = 0;
                    while r < R {
                        let q = V::load(self.query.add(r * self.query_stride + i));
                        let mut j = 0;
                        while j < 4 {
                            sums[r][j] = k[j].mul_add(q, sums[r][j]);
                            j += 1;
                        }
                        r += 1;
                    }
                    i += V::LANES;
                }
                let mut r = 0;
                while r < R {
                    self.scores.add(r * TILE_KEYS + key).cast::<[f32; 4]>().write_unaligned(V::sum_each(sums[r]));
                    r += 1;
                }
                key += 4;
            }
        }
    }
}

/// Turns the scores of a row into weights, `exp(score - largest)`, zero for keys it does not see.
///
/// Returns the largest score so far, the sum of weights so far, and the factor that brings earlier sums to this largest.
/// # Safety
/// `scores` has room for `TILE_KEYS`; the machine has the instructions of `V`.
#[inline(always)]
unsafe fn weigh<V: Lanes>(
    call: &Call<'_>,
    row: usize,
    keys: &Range<usize>,
    scores: *mut f32,
    largest: f32,
    total: f32,
) -> (f32, f32, f32) {
    const STEPS: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
    let (token, head) = call.row(row);
    let spec = &call.kernel.spec;
    let position = call.tile.first_position + token;
    let first = spec.window.map_or(0, |window| (position + 1).saturating_sub(window));
    // Visible keys, counted from the start of the tile.
    let from = first.clamp(keys.start, keys.end) - keys.start;
    let to = (position + 1).clamp(keys.start, keys.end) - keys.start;
    // SAFETY: the tile's keys rounded up to whole vectors are at most `TILE_KEYS`.
    unsafe {
        let whole = keys.len().next_multiple_of(V::LANES);
        let mut maximum = V::splat(largest);
        let mut i = 0;
        // What follows the last key is not a number yet: nothing is known of it.
        for hidden in keys.len()..whole {
            *scores.add(hidden) = f32::NEG_INFINITY;
        }
        if let Some(limit) = spec.softcap {
            let (limit, inverse) = (V::splat(limit), V::splat(1.0 / limit));
            while i < whole {
                tanh(V::load(scores.add(i)).mul(inverse)).mul(limit).store(scores.add(i));
                i += V::LANES;
            }
        }
        if let Some(slopes) = &call.kernel.slopes {
            let slope = V::splat(slopes[head]);
            i = 0;
            while i < whole {
                let distance = V::splat((keys.start + i) as f32 - position as f32).add(V::load(STEPS.as_ptr()));
                slope.mul_add(distance, V::load(scores.add(i))).store(scores.add(i));
                i += V::LANES;
            }
        }
        for hidden in (0..from).chain(to..whole) {
            *scores.add(hidden) = f32::NEG_INFINITY;
        }
        i = 0;
        while i < whole {
            maximum = V::load(scores.add(i)).max(maximum);
            i += V::LANES;
        }
        let new_largest = maximum.maximum();
        let shift = V::splat(new_largest);
        let mut weights = V::splat(0.0);
        i = 0;
        while i < whole {
            let weight = exp(V::load(scores.add(i)).sub(shift));
            weight.store(scores.add(i));
            weights = weights.add(weight);
            i += V::LANES;
        }
        let factor = exp(V::splat(largest - new_largest)).maximum();
        (new_largest, total * factor + weights.sum(), factor)
    }
}

/// Sums of values, weighted.
struct Mix<'a> {
    values: &'a Pointers,
    n: usize,
    next: Next<'a>,
    /// `[rows][TILE_KEYS]`
    weights: *const f32,
    /// Factor of each row on what is already in `sums`.
    factors: *const f32,
    /// Elements, in whole vectors.
    width: usize,
    /// `[rows][stride]`
    sums: *mut f32,
    stride: usize,
}

impl Mix<'_> {
    /// Does up to four rows and returns how many.
    /// # Safety
    /// Rows and scratch are as the fields say; the machine has the instructions of `V`.
    #[inline(always)]
    unsafe fn some_rows<V: Lanes, E: Element>(&self, left: usize) -> usize {
        // SAFETY: passed on.
        unsafe {
            match left {
                1 => self.rows::<V, E, 1>(),
                2 => self.rows::<V, E, 2>(),
                3 => self.rows::<V, E, 3>(),
                _ => self.rows::<V, E, 4>(),
            }
        }
        left.min(4)
    }

    #[inline(always)]
    unsafe fn rows<V: Lanes, E: Element, const R: usize>(&self) {
        let mut i = 0;
        // SAFETY: passed on; columns below `width`.
        unsafe {
            while V::REGISTERS >= 32 && i + 4 * V::LANES <= self.width {
                self.columns::<V, E, R, 4>(i);
                i += 4 * V::LANES;
            }
            while i + 2 * V::LANES <= self.width {
                self.columns::<V, E, R, 2>(i);
                i += 2 * V::LANES;
            }
            while i < self.width {
                self.columns::<V, E, R, 1>(i);
                i += V::LANES;
            }
        }
    }

    #[inline(always)]
    unsafe fn columns<V: Lanes, E: Element, const R: usize, const C: usize>(&self, start: usize) {
        // SAFETY: `R` rows and `C` vectors from `start` are inside the rows.
        unsafe {
            let mut sums = [[V::splat(0.0); C]; R];
            let mut r = 0;
            while r < R {
                let factor = V::splat(*self.factors.add(r));
                let mut c = 0;
                while c < C {
                    sums[r][c] = V::load(self.sums.add(r * self.stride + start + c * V::LANES)).mul(factor);
                    c += 1;
                }
                r += 1;
            }
            let mut key = 0;
            while key < self.n {
                if start == 0 {
                    self.next.prefetch::<V>(key);
                }
                let value = self.values[key].add(start * E::BYTES);
                let mut v = [V::splat(0.0); C];
                let mut c = 0;
                while c < C {
                    v[c] = E::load::<V>(value.add(c * V::LANES * E::BYTES));
                    c += 1;
                }
                let mut r = 0;
                while r < R {
                    let weight = V::splat(*self.weights.add(r * TILE_KEYS + key));
                    let mut c = 0;
                    while c < C {
                        sums[r][c] = v[c].mul_add(weight, sums[r][c]);
                        c += 1;
                    }
                    r += 1;
                }
                key += 1;
            }
            let mut r = 0;
            while r < R {
                let mut c = 0;
                while c < C {
                    sums[r][c].store(self.sums.add(r * self.stride + start + c * V::LANES));
                    c += 1;
                }
                r += 1;
            }
        }
    }
}
