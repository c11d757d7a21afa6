//! The products in 16-bit integers with AVX-512 VNNI: two multiplications where F32 has one.
//!
//! Queries and keys are scaled so that their norms become [`LARGEST`]: then no partial sum of a product leaves 31 bits,
//! however the elements are spread, and rounding is off by 1e-5 of the norms. A norm below 1e-15 counts as zero, and one
//! whose square is infinite (2e19) as not finite. Weights of a tile's keys are scaled so that
//! each row's sum is [`LARGEST`], and values so that the largest of each element is. Where products are summed by
//! Winograd's way (the formula is in `matmul::gemm::avx512::inner_product`), no integer is above half of it either, so
//! that sums of two fit.

use std::arch::x86_64::*;

use super::super::Call;
use super::super::codec::PADDING;
use super::super::tiling::TILE_KEYS;
use super::blocks::Blocks;
use super::{Layout, Products, attend};
use crate::lanes::Avx512;
use crate::scales::{group_factors, lane_factors};

/// The largest integer.
const LARGEST: f32 = 32767.0;
/// The largest of two that are added.
const LARGEST_OF_TWO: f32 = 16383.0;
/// A sum of squares from which on what has vanished from it (squares of subnormals' neighbours are zero) does not count.
const SMALLEST_SQUARES: f32 = 1e-30;
/// Elements of two vectors: integers of the first are the lower halves of what those of the second are the upper of.
const PAIRED: usize = 2 * PADDING;

/// # Safety
/// As [`super::ManyRows`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in crate::attention) unsafe fn attend_with_int16<const WINOGRAD: bool>(call: Call<'_>) {
    // SAFETY: passed on.
    unsafe { attend::<Avx512, Int16<WINOGRAD>>(&call) }
}

/// Where the integers and their scales lie, in numbers of 32 bits from where [`Products`] may begin.
pub(super) struct Places {
    query_scales: usize,
    weight_scales: usize,
    key_scales: usize,
    value_scales: usize,
    query_starts: usize,
    weight_starts: usize,
    key_starts: usize,
    value_starts: usize,
    values: usize,
    keys: usize,
    pub end: usize,
}

impl Places {
    pub(super) fn new(lanes: usize, key_stride: usize, value_stride: usize) -> Places {
        let weight_scales = lanes;
        let key_scales = weight_scales + lanes;
        let value_scales = key_scales + TILE_KEYS;
        let query_starts = value_scales + value_stride;
        let weight_starts = query_starts + lanes;
        let key_starts = weight_starts + lanes;
        let value_starts = key_starts + TILE_KEYS;
        let values = value_starts + value_stride;
        let keys = values + value_stride * TILE_KEYS / 2;
        let end = keys + TILE_KEYS * pairs(key_stride);
        Places {
            query_scales: 0,
            weight_scales,
            key_scales,
            value_scales,
            query_starts,
            weight_starts,
            key_starts,
            value_starts,
            values,
            keys,
            end,
        }
    }
}

/// Pairs of a key's elements.
const fn pairs(key_size: usize) -> usize {
    key_size.next_multiple_of(PAIRED) / 2
}

/// Everything that is read as integers lies in pairs of 16 bits.
struct Int16<const WINOGRAD: bool> {
    layout: Layout,
    key_size: usize,
    value_size: usize,
    /// Decoded keys.
    floats: *const f32,
    /// `[pairs][lanes]`, where the F32 queries were.
    queries: *mut i32,
    query_scales: *mut f32,
    /// `[keys][pairs]`
    keys: *mut i32,
    key_scales: *mut f32,
    /// `[keys / 2][value_stride]`
    values: *mut i32,
    value_scales: *mut f32,
    /// F32 scores and weights; then the weights are `[keys / 2][lanes]` integers.
    scores: *mut f32,
    weight_scales: *mut f32,
    sums: *mut f32,
    /// On the sums so far.
    factors: *const f32,
    /// Of Winograd's way: less the products of neighbouring pairs, of a query, a row of weights, a key and an element.
    query_starts: *mut i32,
    weight_starts: *mut i32,
    key_starts: *mut i32,
    value_starts: *mut i32,
}

impl<const WINOGRAD: bool> Products<Avx512> for Int16<WINOGRAD> {
    #[inline(always)]
    unsafe fn new(call: &Call<'_>, layout: &Layout) -> Int16<WINOGRAD> {
        let spec = &call.kernel.spec;
        // SAFETY: the scratch has the layout's size.
        unsafe {
            let places = Places::new(layout.lanes, layout.key_stride, layout.value_stride);
            let at = |offset: usize| call.scratch.add(offset);
            let own = |place: usize| at(layout.products + place);
            let products = Int16 {
                layout: *layout,
                key_size: spec.key_size,
                value_size: spec.value_size,
                floats: at(layout.keys),
                queries: call.scratch.cast(),
                query_scales: own(places.query_scales),
                keys: own(places.keys).cast(),
                key_scales: own(places.key_scales),
                values: own(places.values).cast(),
                value_scales: own(places.value_scales),
                scores: at(layout.scores),
                weight_scales: own(places.weight_scales),
                sums: at(layout.sums),
                factors: at(layout.factors),
                query_starts: own(places.query_starts).cast(),
                weight_starts: own(places.weight_starts).cast(),
                key_starts: own(places.key_starts).cast(),
                value_starts: own(places.value_starts).cast(),
            };
            products.round_queries();
            products
        }
    }

    #[inline(always)]
    unsafe fn scores(&self, keys: usize, vectors: usize) {
        let pairs = pairs(self.key_size);
        // SAFETY: the pointers have room for a tile.
        unsafe {
            for key in 0..keys {
                self.round_key(key);
            }
            Product::<WINOGRAD> {
                a: self.keys,
                a_row: pairs,
                a_step: 1,
                rows: keys,
                steps: pairs,
                b: self.queries,
                stride: self.layout.lanes,
                out: self.scores,
                row_scales: self.key_scales,
                lane_scales: self.query_scales,
                row_starts: self.key_starts,
                lane_starts: self.query_starts,
                factors: None,
            }
            .run(vectors);
        }
    }

    #[inline(always)]
    unsafe fn add_values(&self, values: *const f32, stride: usize, keys: usize, vectors: usize) {
        // SAFETY: the pointers have room for a tile.
        unsafe {
            for element in (0..self.value_size).step_by(PADDING) {
                self.round_values(values.add(element), stride, keys, element);
            }
            for vector in 0..vectors {
                self.round_weights(keys, vector * PADDING);
            }
            Product::<WINOGRAD> {
                a: self.values,
                a_row: 1,
                a_step: self.layout.value_stride,
                rows: self.value_size,
                steps: steps_of_keys(keys),
                b: self.scores.cast(),
                stride: self.layout.lanes,
                out: self.sums,
                row_scales: self.value_scales,
                lane_scales: self.weight_scales,
                row_starts: self.value_starts,
                lane_starts: self.weight_starts,
                factors: Some(self.factors),
            }
            .run(vectors);
        }
    }
}

impl<const WINOGRAD: bool> Int16<WINOGRAD> {
    /// What the largest element counts in a scale by Winograd's way, beside the norm or sum.
    const OF_LARGEST: f32 = LARGEST / LARGEST_OF_TWO;

    /// What [`LARGEST`] stands for, given norms or sums (or zeros in their place) and the largest elements.
    #[inline(always)]
    unsafe fn larger(of_all: __m512, largest: __m512) -> __m512 {
        if !WINOGRAD {
            return of_all;
        }
        // SAFETY: AVX-512 is the caller's.
        unsafe {
            let counts = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(of_all, _mm512_setzero_ps());
            let most = _mm512_maskz_mul_ps(counts, largest, _mm512_set1_ps(Self::OF_LARGEST));
            // The second, where one is not a number.
            _mm512_max_ps(most, of_all)
        }
    }

    /// Every pair takes the place of an element that was read before.
    #[inline(always)]
    unsafe fn round_queries(&self) {
        let lanes = self.layout.lanes;
        for lane in (0..lanes).step_by(PADDING) {
            // SAFETY: rows of `lanes` numbers, of which those below `key_size` are queries.
            unsafe {
                let row = |i: usize| self.queries.add(i * lanes + lane);
                let (mut squares, mut largest) = (_mm512_setzero_ps(), _mm512_setzero_ps());
                for i in 0..self.key_size {
                    let x = _mm512_loadu_ps(row(i).cast());
                    squares = _mm512_fmadd_ps(x, x, squares);
                    largest = _mm512_max_ps(largest, _mm512_abs_ps(x));
                }
                // Unordered too: NaN stays.
                let counts = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(squares, _mm512_set1_ps(SMALLEST_SQUARES));
                let (scales, inverses) =
                    lane_factors(Self::larger(_mm512_maskz_sqrt_ps(counts, squares), largest), LARGEST);
                _mm512_storeu_ps(self.query_scales.add(lane), scales);
                for first in (0..self.key_size).step_by(PAIRED) {
                    for i in first..first + PADDING {
                        let element = |i: usize| match i < self.key_size {
                            true => _mm512_loadu_ps(row(i).cast()),
                            false => _mm512_setzero_ps(),
                        };
                        let pair = round_pair(element(i), element(i + PADDING), inverses);
                        _mm512_storeu_si512(row(first / 2 + i - first).cast(), pair);
                    }
                }
                if WINOGRAD {
                    let start = less_products(row(0), lanes, pairs(self.key_size));
                    _mm512_storeu_si512(self.query_starts.add(lane).cast(), start);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn round_key(&self, key: usize) {
        let stride = self.layout.key_stride;
        // SAFETY: a decoded key is `key_stride` numbers, whole vectors that end with zeros.
        unsafe {
            let from = self.floats.add(key * stride);
            let (mut squares, mut largest) = (_mm512_setzero_ps(), _mm512_setzero_ps());
            for i in (0..stride).step_by(PADDING) {
                let x = _mm512_loadu_ps(from.add(i));
                squares = _mm512_fmadd_ps(x, x, squares);
                largest = _mm512_max_ps(largest, _mm512_abs_ps(x));
            }
            let squares = _mm512_reduce_add_ps(squares);
            let norm = if squares < SMALLEST_SQUARES { 0.0 } else { squares.sqrt() };
            let most = if WINOGRAD && norm > 0.0 { Self::OF_LARGEST * _mm512_reduce_max_ps(largest) } else { 0.0 };
            // Where the norm is not a number, it stays.
            let (scale, inverse) = group_factors(if most > norm { most } else { norm }, LARGEST);
            *self.key_scales.add(key) = scale;
            let inverse = _mm512_set1_ps(inverse);
            let to = self.keys.add(key * pairs(self.key_size));
            let mut products = _mm512_setzero_si512();
            for i in (0..stride).step_by(PAIRED) {
                let upper = match i + PADDING < stride {
                    true => _mm512_loadu_ps(from.add(i + PADDING)),
                    false => _mm512_setzero_ps(),
                };
                let pair = round_pair(_mm512_loadu_ps(from.add(i)), upper, inverse);
                _mm512_storeu_si512(to.add(i / 2).cast(), pair);
                if WINOGRAD {
                    products = _mm512_dpwssd_epi32(products, pair, _mm512_shuffle_epi32::<0b10_11_00_01>(pair));
                }
            }
            if WINOGRAD {
                // Neighbours have the same.
                *self.key_starts.add(key) = _mm512_mask_reduce_add_epi32(0x5555, products).wrapping_neg();
            }
        }
    }

    /// Sixteen elements, from `element` on, of all values.
    #[inline(always)]
    unsafe fn round_values(&self, from: *const f32, stride: usize, keys: usize, element: usize) {
        // SAFETY: decoded values are whole vectors.
        unsafe {
            let value = |key: usize| _mm512_loadu_ps(from.add(key * stride));
            let mut largest = _mm512_setzero_si512();
            for key in 0..keys {
                // As integers, magnitudes order like the floats, and infinities and NaN come last.
                largest = _mm512_max_epi32(largest, _mm512_castps_si512(_mm512_abs_ps(value(key))));
            }
            let (scales, inverses) =
                lane_factors(_mm512_castsi512_ps(largest), if WINOGRAD { LARGEST_OF_TWO } else { LARGEST });
            _mm512_storeu_ps(self.value_scales.add(element), scales);
            let stride = self.layout.value_stride;
            for pair in 0..keys.div_ceil(2) {
                let upper = if 2 * pair + 1 < keys { value(2 * pair + 1) } else { _mm512_setzero_ps() };
                let to = self.values.add(pair * stride + element);
                _mm512_storeu_si512(to.cast(), round_pair(value(2 * pair), upper, inverses));
            }
            let to = self.values.add(element);
            fill_up(to, stride, keys);
            if WINOGRAD {
                let start = less_products(to, stride, steps_of_keys(keys));
                _mm512_storeu_si512(self.value_starts.add(element).cast(), start);
            }
        }
    }

    /// The weights of a vector of rows, from `lane` on. Every pair takes the place of a weight that was read before.
    #[inline(always)]
    unsafe fn round_weights(&self, keys: usize, lane: usize) {
        // SAFETY: rows of `lanes` weights.
        unsafe {
            let row = |i: usize| self.scores.add(i * self.layout.lanes + lane);
            let (mut sums, mut largest) = ([_mm512_setzero_ps(); 2], _mm512_setzero_ps());
            for key in 0..keys {
                let weights = _mm512_loadu_ps(row(key));
                sums[key % 2] = _mm512_add_ps(sums[key % 2], weights);
                largest = _mm512_max_ps(largest, weights);
            }
            let (scales, inverses) = lane_factors(Self::larger(_mm512_add_ps(sums[0], sums[1]), largest), LARGEST);
            _mm512_storeu_ps(self.weight_scales.add(lane), scales);
            for pair in 0..keys.div_ceil(2) {
                let upper = if 2 * pair + 1 < keys { _mm512_loadu_ps(row(2 * pair + 1)) } else { _mm512_setzero_ps() };
                let integers = round_pair(_mm512_loadu_ps(row(2 * pair)), upper, inverses);
                _mm512_storeu_si512(row(pair).cast(), integers);
            }
            let (to, stride) = (row(0).cast(), self.layout.lanes);
            fill_up(to, stride, keys);
            if WINOGRAD {
                let start = less_products(to, stride, steps_of_keys(keys));
                _mm512_storeu_si512(self.weight_starts.add(lane).cast(), start);
            }
        }
    }
}

/// Steps of a product over keys: pairs, in twos.
const fn steps_of_keys(keys: usize) -> usize {
    keys.div_ceil(4) * 2
}

const _: () = assert!(TILE_KEYS.is_multiple_of(4), "pairs of keys in twos fill a tile");

/// Writes zeros behind the last pair of keys, where that is the first of two; `to` has the pairs at `stride`.
#[inline(always)]
unsafe fn fill_up(to: *mut i32, stride: usize, keys: usize) {
    let pairs = keys.div_ceil(2);
    if pairs < steps_of_keys(keys) {
        // SAFETY: a tile has an even number of pairs; AVX-512 is the caller's.
        unsafe { _mm512_storeu_si512(to.add(pairs * stride).cast(), _mm512_setzero_si512()) };
    }
}

/// Less the products of the pairs of each two steps, whose vectors are `stride` numbers apart.
#[inline(always)]
unsafe fn less_products(from: *const i32, stride: usize, steps: usize) -> __m512i {
    // SAFETY: as many vectors are the caller's, and so is AVX-512 VNNI.
    unsafe {
        let mut products = _mm512_setzero_si512();
        for step in (0..steps).step_by(2) {
            let first = _mm512_loadu_si512(from.add(step * stride).cast());
            let second = _mm512_loadu_si512(from.add((step + 1) * stride).cast());
            products = _mm512_dpwssd_epi32(products, first, second);
        }
        _mm512_sub_epi32(_mm512_setzero_si512(), products)
    }
}

/// Rounds both, times `inverses`, to 16 bits: the first to the lower halves, the second to the upper.
#[inline(always)]
unsafe fn round_pair(lower: __m512, upper: __m512, inverses: __m512) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let lower = _mm512_cvtps_epi32(_mm512_mul_ps(lower, inverses));
        let upper = _mm512_cvtps_epi32(_mm512_mul_ps(upper, inverses));
        _mm512_mask_blend_epi16(0xaaaa_aaaa, lower, _mm512_slli_epi32::<16>(upper))
    }
}

/// `out[row][lane] = out[row][lane] * factors[lane] + row_scales[row] * lane_scales[lane] * Σ_step a[row][step] *
/// b[step][lane]`, where each step is a pair; without factors `out` starts at zero. `b` and `out` are `stride` numbers
/// from row to row. Its maker promises `a`, the scales and `out` for the rows, rounded up to four, and `b` for all steps.
struct Product<const WINOGRAD: bool> {
    a: *const i32,
    /// From one row of `a` to the next, and from one step to the next.
    a_row: usize,
    a_step: usize,
    rows: usize,
    steps: usize,
    b: *const i32,
    stride: usize,
    out: *mut f32,
    row_scales: *const f32,
    lane_scales: *const f32,
    /// Of Winograd's way: what sums start from, for each row and each lane; there are two steps at least, in twos.
    row_starts: *const i32,
    lane_starts: *const i32,
    factors: Option<*const f32>,
}

impl<const WINOGRAD: bool> Blocks<Avx512> for Product<WINOGRAD> {
    const FOUR_VECTORS: bool = !WINOGRAD;

    #[inline(always)]
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn block<const R: usize, const C: usize>(&self, row: usize, lane: usize) {
        // SAFETY: `R` rows from `row` and `C` vectors from `lane` are inside.
        unsafe {
            let sums = match WINOGRAD {
                true => self.sums_by_winograd::<R, C>(row, lane),
                false => self.sums::<R, C>(row, lane),
            };
            for r in 0..R {
                let row_scale = _mm512_set1_ps(*self.row_scales.add(row + r));
                for c in 0..C {
                    let lane = lane + c * PADDING;
                    let out = self.out.add((row + r) * self.stride + lane);
                    let scale = _mm512_mul_ps(row_scale, _mm512_loadu_ps(self.lane_scales.add(lane)));
                    let sum = _mm512_cvtepi32_ps(sums[r][c]);
                    let result = match self.factors {
                        Some(factors) => {
                            let before = _mm512_mul_ps(_mm512_loadu_ps(out), _mm512_loadu_ps(factors.add(lane)));
                            _mm512_fmadd_ps(sum, scale, before)
                        }
                        None => _mm512_mul_ps(sum, scale),
                    };
                    _mm512_storeu_ps(out, result);
                }
            }
        }
    }
}

impl<const WINOGRAD: bool> Product<WINOGRAD> {
    /// The integer sums of a block.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn sums<const R: usize, const C: usize>(&self, row: usize, lane: usize) -> [[__m512i; C]; R] {
        // SAFETY: as of the block.
        unsafe {
            let (a, b) = (self.a.add(row * self.a_row), self.b.add(lane));
            let mut sums = [[_mm512_setzero_si512(); C]; R];
            for step in 0..self.steps {
                let mut right = [_mm512_setzero_si512(); C];
                for c in 0..C {
                    right[c] = _mm512_loadu_si512(b.add(step * self.stride + c * PADDING).cast());
                }
                for r in 0..R {
                    let left = _mm512_set1_epi32(*a.add(r * self.a_row + step * self.a_step));
                    for c in 0..C {
                        sums[r][c] = _mm512_dpwssd_epi32(sums[r][c], left, right[c]);
                    }
                }
            }
            sums
        }
    }

    /// The same with half the multiplications; numbers 1 and 2 of the formula are the pairs of each two steps.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // several arrays walk together
    unsafe fn sums_by_winograd<const R: usize, const C: usize>(&self, row: usize, lane: usize) -> [[__m512i; C]; R] {
        // SAFETY: as of the block.
        unsafe {
            let (a, b) = (self.a.add(row * self.a_row), self.b.add(lane));
            let mut sums = [[_mm512_setzero_si512(); C]; R];
            for c in 0..C {
                let of_lane = _mm512_loadu_si512(self.lane_starts.add(lane + c * PADDING).cast());
                for r in 0..R {
                    sums[r][c] = _mm512_add_epi32(of_lane, _mm512_set1_epi32(*self.row_starts.add(row + r)));
                }
            }
            for step in (0..self.steps).step_by(2) {
                let mut right = [[_mm512_setzero_si512(); 2]; C];
                for c in 0..C {
                    let first = b.add(step * self.stride + c * PADDING);
                    right[c] = [_mm512_loadu_si512(first.cast()), _mm512_loadu_si512(first.add(self.stride).cast())];
                }
                for r in 0..R {
                    let first = a.add(r * self.a_row + step * self.a_step);
                    let (w1, w2) = (_mm512_set1_epi32(*first), _mm512_set1_epi32(*first.add(self.a_step)));
                    for c in 0..C {
                        let [x1, x2] = right[c];
                        sums[r][c] =
                            _mm512_dpwssd_epi32(sums[r][c], _mm512_add_epi16(x1, w2), _mm512_add_epi16(x2, w1));
                    }
                }
            }
            sums
        }
    }
}
