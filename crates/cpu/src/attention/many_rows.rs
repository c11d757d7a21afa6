//! Attention of many rows (prompts): a tile of rows against tiles of keys, as two dense products with a softmax between.
//!
//! Rows (tokens × query heads of one key head) lie along the vectors. Queries are transposed once per piece, keys and
//! values are decoded once per tile and read element by element (or pair by pair) as broadcasts, and the softmax works on
//! whole vectors of rows, so no row's result is summed across a vector.

mod blocks;
mod float;
#[cfg(target_arch = "x86_64")]
mod int16;

use std::ops::Range;

use super::codec::{PADDING, decode};
use super::tiling::TILE_KEYS;
use super::{Arithmetic, AttentionKernel, Call, ValueSource};
use crate::lanes::{Kernel, Lanes, exp, tanh};

/// Offsets of the scratch, in numbers.
#[derive(Clone, Copy)]
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
    /// What [`Products`] needs besides.
    products: usize,
    pub(super) floats: usize,
}

impl Layout {
    pub(super) fn new(kernel: &AttentionKernel, rows: usize) -> Layout {
        let lanes = rows.next_multiple_of(PADDING);
        let key_stride = kernel.spec.key_size.next_multiple_of(PADDING);
        let value_stride = kernel.values.size.next_multiple_of(PADDING);
        // Queries come first: `[key_size][lanes]`, in whole blocks, as integers fill them.
        let keys = key_stride * lanes;
        let values = keys + TILE_KEYS * key_stride;
        let scores = values + TILE_KEYS * value_stride;
        let sums = scores + TILE_KEYS * lanes;
        let largest = sums + value_stride * lanes;
        let [totals, factors, positions, firsts, slopes, products] = std::array::from_fn(|i| largest + (i + 1) * lanes);
        let floats = products
            + match kernel.arithmetic {
                Arithmetic::F32 => 0,
                #[cfg(target_arch = "x86_64")]
                Arithmetic::Int16 => int16::Places::new(lanes, key_stride, value_stride).end,
            };
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
            products,
            floats,
        }
    }
}

/// Rows of the tile with F32 products, at any level. Its maker promises what [`AttentionKernel::run`] asks of its caller,
/// scratch of [`Layout::floats`] numbers, and a machine that has the level.
pub(super) struct ManyRows<'a>(pub(super) Call<'a>);

impl Kernel for ManyRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: passed on.
        unsafe { attend::<V, float::Float>(&self.0) }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use int16::attend_with_int16;

/// How the two products of a tile of rows with a tile of keys are computed.
trait Products<V> {
    /// Takes over the transposed queries, `[key_size][lanes]` at the start of the scratch.
    /// # Safety
    /// As [`ManyRows`]; the same goes for the other functions.
    unsafe fn new(call: &Call<'_>, layout: &Layout) -> Self;
    /// `[keys][lanes] = [keys][key_size] * [key_size][lanes]`, of the first `keys` decoded keys and all queries.
    unsafe fn scores(&self, keys: usize, vectors: usize);
    /// `[value_size][lanes] = [value_size][lanes] * factors + [keys][value_size]^T * [keys][lanes]`: adds the first `keys`
    /// decoded values, at `values` and `stride` numbers apart, with the weights that are where the scores were.
    unsafe fn add_values(&self, values: *const f32, stride: usize, keys: usize, vectors: usize);
}

/// # Safety
/// As [`ManyRows`].
#[inline(always)]
unsafe fn attend<V: Lanes, P: Products<V>>(call: &Call<'_>) {
    let (kernel, tile, rows) = (call.kernel, &call.tile, call.rows());
    let layout = Layout::new(kernel, rows);
    let vectors = rows.div_ceil(V::LANES);
    // SAFETY: the scratch has the layout's size; positions of the tile are in the sequence's blocks.
    unsafe {
        let at = |offset: usize| call.scratch.add(offset);
        prepare::<V>(call, &layout);
        let products = P::new(call, &layout);
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
            products.scores(keys.len(), vectors);
            for vector in 0..vectors {
                weigh::<V>(call, &layout, &keys, vector * V::LANES);
            }
            let (values, value_stride) = match kernel.spec.values {
                ValueSource::Cache(_) => (at(layout.values), layout.value_stride),
                ValueSource::KeyPrefix => (at(layout.keys), layout.key_stride),
            };
            products.add_values(values, value_stride, keys.len(), vectors);
        }
        for first in (0..rows).step_by(PADDING) {
            finish_rows::<V>(call, &layout, first);
        }
        call.finish();
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
