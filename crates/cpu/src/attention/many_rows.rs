//! Attention of many rows (prompts): a tile of rows against tiles of keys, as two dense products with a softmax between.
//!
//! Rows (tokens × query heads of one key head) lie along the vectors. Queries are transposed once per piece, keys and
//! values are decoded once per tile and read element by element as broadcasts, and the softmax works on whole vectors of
//! rows, so nothing is ever summed across a vector.

use std::ops::Range;

use super::codec::{PADDING, decode};
use super::tiling::TILE_KEYS;
use super::{AttentionKernel, Call, ValueSource};
use crate::lanes::{Kernel, Lanes, exp, tanh};

/// Offsets of the scratch, in numbers.
pub(super) struct Layout {
    /// Rows of the tile, in whole vectors of any level.
    lanes: usize,
    key_stride: usize,
    value_stride: usize,
    keys: usize,
    values: usize,
    scores: usize,
    sums: usize,
    /// Largest score, sum of weights, and factor on earlier sums of each row.
    largest: usize,
    totals: usize,
    factors: usize,
    /// Position, first visible position and ALiBi slope of each row.
    positions: usize,
    firsts: usize,
    slopes: usize,
    pub(super) floats: usize,
}

impl Layout {
    pub(super) fn new(kernel: &AttentionKernel, rows: usize) -> Layout {
        let lanes = rows.next_multiple_of(PADDING);
        let key_stride = kernel.spec.key_size.next_multiple_of(PADDING);
        let value_stride = kernel.values.size.next_multiple_of(PADDING);
        // Queries come first: `[key_size][lanes]`.
        let keys = kernel.spec.key_size * lanes;
        let values = keys + TILE_KEYS * key_stride;
        let scores = values + TILE_KEYS * value_stride;
        let sums = scores + TILE_KEYS * lanes;
        let largest = sums + value_stride * lanes;
        let [totals, factors, positions, firsts, slopes, floats] = std::array::from_fn(|i| largest + (i + 1) * lanes);
        Layout {
            lanes,
            key_stride,
            value_stride,
            keys,
            values,
            scores,
            sums,
            largest,
            totals,
            factors,
            positions,
            firsts,
            slopes,
            floats,
        }
    }
}

pub(super) struct ManyRows<'a>(pub(super) Call<'a>);

impl Kernel for ManyRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let call = &self.0;
        let (kernel, tile, rows) = (call.kernel, &call.tile, call.rows());
        let layout = Layout::new(kernel, rows);
        let vectors = rows.div_ceil(V::LANES);
        // SAFETY: the scratch has the layout's size; positions of the tile are in the sequence's blocks.
        unsafe {
            let at = |offset: usize| call.scratch.add(offset);
            prepare::<V>(call, &layout);
            for keys in tile.keys.tiles() {
                for (i, position) in keys.clone().enumerate() {
                    let row = kernel.key_row(&call.step.cache, tile.blocks, position, tile.kv_head);
                    decode::<V>(kernel.keys.codec, row, kernel.keys.size, at(layout.keys + i * layout.key_stride));
                    if let ValueSource::Cache(_) = kernel.spec.values {
                        let row = kernel.value_row(&call.step.cache, tile.blocks, position, tile.kv_head);
                        let to = at(layout.values + i * layout.value_stride);
                        decode::<V>(kernel.values.codec, row, kernel.values.size, to);
                    }
                }
                let (values, value_stride) = match kernel.spec.values {
                    ValueSource::Cache(_) => (at(layout.values), layout.value_stride),
                    ValueSource::KeyPrefix => (at(layout.keys), layout.key_stride),
                };
                // [keys][lanes] = [keys][key_size] * [key_size][lanes]
                Product {
                    a: at(layout.keys),
                    a_row: layout.key_stride,
                    a_step: 1,
                    rows: keys.len(),
                    steps: kernel.spec.key_size,
                    b: at(0),
                    stride: layout.lanes,
                    out: at(layout.scores),
                    factors: None,
                }
                .run::<V>(vectors);
                for vector in 0..vectors {
                    weigh::<V>(call, &layout, &keys, vector * V::LANES);
                }
                // [value_size][lanes] = [value_size][lanes] * factors + [keys][value_size]^T * [keys][lanes]
                Product {
                    a: values,
                    a_row: 1,
                    a_step: value_stride,
                    rows: kernel.spec.value_size,
                    steps: keys.len(),
                    b: at(layout.scores),
                    stride: layout.lanes,
                    out: at(layout.sums),
                    factors: Some(at(layout.factors)),
                }
                .run::<V>(vectors);
            }
            for first in (0..rows).step_by(PADDING) {
                finish_rows::<V>(call, &layout, first);
            }
            call.finish();
        }
    }
}

/// Transposes and scales the queries, and sets every row's starting point.
/// # Safety
/// As [`ManyRows`].
#[inline(always)]
unsafe fn prepare<V: Lanes>(call: &Call<'_>, layout: &Layout) {
    let (spec, rows) = (&call.kernel.spec, call.rows());
    // SAFETY: the scratch has the layout's size.
    unsafe {
        let at = |offset: usize| call.scratch.add(offset);
        for lane in 0..layout.lanes {
            // Lanes without a row do what the last row does; nobody reads them.
            let row = lane.min(rows - 1);
            let (token, head) = call.row(row);
            (*at(layout.largest + lane), *at(layout.totals + lane)) = call.start(row);
            // Positions count from the tile's first token: small numbers, exact in F32.
            let position = (token - call.tile.tokens.start) as f32;
            *at(layout.positions + lane) = position;
            *at(layout.firsts + lane) = spec.window.map_or(f32::NEG_INFINITY, |w| position + 1.0 - w as f32);
            *at(layout.slopes + lane) = call.kernel.slopes.as_ref().map_or(0.0, |slopes| slopes[head]);
        }
        for first in (0..layout.lanes).step_by(PADDING) {
            let from: [_; PADDING] = std::array::from_fn(|lane| call.query_row((first + lane).min(rows - 1)));
            let whole = spec.key_size / PADDING * PADDING;
            for i in (0..whole).step_by(PADDING) {
                let to = std::array::from_fn(|k| at((i + k) * layout.lanes + first));
                V::transpose(from.map(|row| row.add(i)), to);
            }
            for i in whole..spec.key_size {
                for (lane, row) in from.iter().enumerate() {
                    *at(i * layout.lanes + first + lane) = *row.add(i);
                }
            }
        }
        let scale = V::splat(spec.scale);
        for i in (0..spec.key_size * layout.lanes).step_by(V::LANES) {
            V::load(at(i)).mul(scale).store(at(i));
        }
        std::ptr::write_bytes(at(layout.sums), 0, layout.value_stride * layout.lanes);
    }
}

/// Hands over the sums of up to sixteen rows, from row `first` on.
/// # Safety
/// As [`ManyRows`].
#[inline(always)]
unsafe fn finish_rows<V: Lanes>(call: &Call<'_>, layout: &Layout, first: usize) {
    let (size, rows) = (call.kernel.spec.value_size, call.rows());
    // SAFETY: the scratch has the layout's size, and the rows' sums go where they belong.
    unsafe {
        let at = |offset: usize| call.scratch.add(offset + first);
        // What lanes without a row hold goes where keys and values were decoded: nobody reads it.
        let (mut to, mut factors) = ([call.scratch.add(layout.keys); PADDING], [0.0; PADDING]);
        for lane in 0..PADDING.min(rows - first) {
            let (largest, total) = (*at(layout.largest + lane), *at(layout.totals + lane));
            (to[lane], factors[lane]) = call.finish_row(first + lane, largest, total);
        }
        for i in 0..size {
            for lane in (0..PADDING).step_by(V::LANES) {
                let sums = at(layout.sums + i * layout.lanes + lane);
                V::load(sums).mul(V::load(factors.as_ptr().add(lane))).store(sums);
            }
        }
        let whole = size / PADDING * PADDING;
        for i in (0..whole).step_by(PADDING) {
            let from = std::array::from_fn(|k| at(layout.sums + (i + k) * layout.lanes).cast_const());
            V::transpose(from, to.map(|row| row.add(i)));
        }
        for i in whole..size {
            for (lane, row) in to.iter().enumerate() {
                *row.add(i) = *at(layout.sums + i * layout.lanes + lane);
            }
        }
    }
}

/// Turns the scores of one vector of rows into weights, `exp(score - largest)`, zero for keys a row does not see.
/// # Safety
/// As [`ManyRows`]; a vector of rows starts at `lane`.
#[inline(always)]
unsafe fn weigh<V: Lanes>(call: &Call<'_>, layout: &Layout, keys: &Range<usize>, lane: usize) {
    let (spec, tile) = (&call.kernel.spec, &call.tile);
    let first_token = tile.first_position + tile.tokens.start;
    let last_token = tile.first_position + tile.tokens.end - 1;
    let hidden = keys.end - 1 > first_token || spec.window.is_some_and(|w| keys.start + w <= last_token);
    let n = keys.len();
    // SAFETY: the scratch has the layout's size.
    unsafe {
        let at = |offset: usize| call.scratch.add(offset + lane);
        let score = |key: usize| call.scratch.add(layout.scores + key * layout.lanes + lane);
        if let Some(limit) = spec.softcap {
            let (limit, inverse) = (V::splat(limit), V::splat(1.0 / limit));
            for key in 0..n {
                tanh(V::load(score(key)).mul(inverse)).mul(limit).store(score(key));
            }
        }
        if hidden || call.kernel.slopes.is_some() {
            let (position, first) = (V::load(at(layout.positions)), V::load(at(layout.firsts)));
            let (slope, nothing) = (V::load(at(layout.slopes)), V::splat(f32::NEG_INFINITY));
            for key in 0..n {
                let here = V::splat((keys.start + key) as f32 - first_token as f32);
                let s = slope.mul_add(here.sub(position), V::load(score(key)));
                let s = V::select(position.less(here), nothing, s);
                V::select(here.less(first), nothing, s).store(score(key));
            }
        }
        let before = V::load(at(layout.largest));
        let mut largest = before;
        for key in 0..n {
            largest = V::load(score(key)).max(largest);
        }
        let factor = exp(before.sub(largest));
        let mut total = V::load(at(layout.totals)).mul(factor);
        for key in 0..n {
            let weight = exp(V::load(score(key)).sub(largest));
            weight.store(score(key));
            total = total.add(weight);
        }
        largest.store(at(layout.largest));
        factor.store(at(layout.factors));
        total.store(at(layout.totals));
    }
}

/// `out[row][lane] = out[row][lane] * factors[lane] + Σ_step a[row][step] * b[step][lane]`, without factors `out` starts at
/// zero. `b` and `out` are `stride` numbers from row to row.
struct Product {
    a: *const f32,
    /// From one row of `a` to the next, and from one step to the next.
    a_row: usize,
    a_step: usize,
    rows: usize,
    steps: usize,
    b: *const f32,
    stride: usize,
    out: *mut f32,
    factors: Option<*const f32>,
}

impl Product {
    /// # Safety
    /// `a` is readable and `out` writable for `rows` rounded up to [`PADDING`]; the machine has the instructions of `V`.
    #[inline(always)]
    unsafe fn run<V: Lanes>(&self, vectors: usize) {
        let mut vector = 0;
        // SAFETY: as the caller promises.
        unsafe {
            while vector < vectors {
                // As many sums as hide the latency and fit the registers.
                vector += match vectors - vector {
                    4.. if V::REGISTERS >= 32 => self.columns::<V, 6, 4>(vector),
                    2.. if V::REGISTERS >= 32 => self.columns::<V, 8, 2>(vector),
                    2.. => self.columns::<V, 6, 2>(vector),
                    _ => self.columns::<V, 8, 1>(vector),
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn columns<V: Lanes, const R: usize, const C: usize>(&self, vector: usize) -> usize {
        let lane = vector * V::LANES;
        let mut row = 0;
        // SAFETY: as the caller of `run` promises; a last block ends below `rows` rounded up to four.
        unsafe {
            while row + R <= self.rows {
                self.block::<V, R, C>(row, lane);
                row += R;
            }
            while row + 2 < self.rows {
                self.block::<V, 4, C>(row, lane);
                row += 4;
            }
            if row < self.rows {
                self.block::<V, 2, C>(row, lane);
            }
        }
        C
    }

    #[inline(always)]
    unsafe fn block<V: Lanes, const R: usize, const C: usize>(&self, row: usize, lane: usize) {
        // SAFETY: `R` rows from `row` and `C` vectors from `lane` are inside.
        unsafe {
            let (a, b) = (self.a.add(row * self.a_row), self.b.add(lane));
            let out = self.out.add(row * self.stride + lane);
            let mut sums = [[V::splat(0.0); C]; R];
            if let Some(factors) = self.factors {
                let mut r = 0;
                while r < R {
                    let mut c = 0;
                    while c < C {
                        let factor = V::load(factors.add(lane + c * V::LANES));
                        sums[r][c] = V::load(out.add(r * self.stride + c * V::LANES)).mul(factor);
                        c += 1;
                    }
                    r += 1;
                }
            }
            let mut step = 0;
            while step < self.steps {
                let mut right = [V::splat(0.0); C];
                let mut c = 0;
                while c < C {
                    right[c] = V::load(b.add(step * self.stride + c * V::LANES));
                    c += 1;
                }
                let mut r = 0;
                while r < R {
                    let left = V::splat(*a.add(r * self.a_row + step * self.a_step));
                    let mut c = 0;
                    while c < C {
                        sums[r][c] = left.mul_add(right[c], sums[r][c]);
                        c += 1;
                    }
                    r += 1;
                }
                step += 1;
            }
            let mut r = 0;
            while r < R {
                let mut c = 0;
                while c < C {
                    sums[r][c].store(out.add(r * self.stride + c * V::LANES));
                    c += 1;
                }
                r += 1;
            }
        }
    }
}
