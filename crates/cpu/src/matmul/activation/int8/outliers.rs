//! Activations far from the rest of their token, which panels keep in F32 beside the integers.
//!
//! A few features of a model are many times larger than the others ("outlier features", LLM.int8(), Dettmers et al.
//! 2022): a scale that reaches them leaves their neighbours few steps. So the integers of a panel have zeros there,
//! and a list per span of 256 columns has what belongs there. What counts as far depends on the token's own row only.

use std::mem::MaybeUninit;

use super::{Int8Layout, LINE, PADDING, TOKENS_PER_PANEL};
use crate::bits::set_bits;
use crate::lanes::{Kernel, Lanes};
use crate::matmul::InputRows;

/// Of its row's root mean square, the elements up to this many times as large count, ...
const NEAR: f32 = 6.0;
/// ... and what is this many times as large as that mean is an outlier. Measured on three models: a sixth to two fifths of
/// the divergence from F32 activations are left.
const FAR: f32 = 6.5;

/// A row has at most one outlier among this many elements, and some room is left for rounding: above `NEAR` there are
/// one in `NEAR` squared at most, and below as many in the square of `FAR`.
const ELEMENTS_PER_OUTLIER: usize = 18;
/// Rows with a smaller mean square have no outliers, and no smaller square is one: it may have vanished from a sum.
const SMALLEST_SQUARE: f32 = 1e-30;
/// Where a square may be that much below a limit's, the element is looked at: rounding can have brought it there.
const NEARLY: f32 = 1.0 - 1e-6;
/// Vectors of a row that are looked at together.
const AT_ONCE: usize = 4;

/// The outliers of a panel, by columns.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct OutlierView {
    /// `[spans]`: what the list has up to the end of each span.
    ends: *const End,
    /// The columns, from the beginning of their span.
    cols: *const u8,
    /// Of each column a bit for each token that has an outlier there.
    tokens: *const u16,
    /// What those tokens have there, column by column.
    values: *const f32,
}

/// How many columns and values a list has up to a place.
#[derive(Clone, Copy, Default)]
struct End {
    cols: u32,
    values: u32,
}

/// The outliers of a span.
pub(in crate::matmul) struct Outliers<'a> {
    /// The columns, from the beginning of the span.
    pub cols: &'a [u8],
    tokens: &'a [u16],
    values: &'a [f32],
}

impl Outliers<'_> {
    /// Of each column, what its tokens have there, or zero.
    ///
    /// # Safety
    /// The machine has the level of `V`.
    #[inline(always)]
    pub unsafe fn spread<V: Lanes>(&self, into: &mut [MaybeUninit<[f32; TOKENS_PER_PANEL]>; PADDING]) {
        let mut values = self.values.as_ptr();
        for (into, tokens) in into.iter_mut().zip(self.tokens) {
            for lane in (0..TOKENS_PER_PANEL).step_by(V::LANES) {
                let mask = tokens >> lane & (u16::MAX >> (TOKENS_PER_PANEL - V::LANES));
                // SAFETY: there is a value for every bit.
                unsafe {
                    V::expand(mask, values).store(into.as_mut_ptr().cast::<f32>().add(lane));
                    values = values.add(mask.count_ones() as usize);
                }
            }
        }
    }
}

impl OutlierView {
    /// Those of a span.
    ///
    /// # Safety
    /// The panel is prepared and has the span.
    #[inline(always)]
    pub unsafe fn of_span<'a>(self, span: usize) -> Outliers<'a> {
        // SAFETY: the list was filled up to the end of each span.
        unsafe {
            let start = if span == 0 { End::default() } else { *self.ends.add(span - 1) };
            let end = *self.ends.add(span);
            let (first, cols) = (start.cols as usize, (end.cols - start.cols) as usize);
            let values = (end.values - start.values) as usize;
            Outliers {
                cols: std::slice::from_raw_parts(self.cols.add(first), cols),
                tokens: std::slice::from_raw_parts(self.tokens.add(first), cols),
                values: std::slice::from_raw_parts(self.values.add(start.values as usize), values),
            }
        }
    }
}

impl Int8Layout {
    /// The outliers of panel `panel`.
    pub fn outliers(&self, prepared: *const u8, panel: usize) -> OutlierView {
        let ends = prepared.wrapping_add((panel + 1) * self.panel_stride() - self.outlier_bytes());
        let values = ends.wrapping_add(self.ends_bytes());
        let tokens = values.wrapping_add(self.most_outliers() * size_of::<f32>());
        let cols = tokens.wrapping_add(self.most_columns() * size_of::<u16>());
        OutlierView { ends: ends.cast(), cols, tokens: tokens.cast(), values: values.cast() }
    }

    /// Bytes of a panel's outliers, whole lines: they are its end.
    pub(super) fn outlier_bytes(&self) -> usize {
        let of_column = size_of::<u16>() + size_of::<u8>();
        let bytes = self.most_outliers() * size_of::<f32>() + self.most_columns() * of_column;
        (self.ends_bytes() + bytes).next_multiple_of(LINE)
    }

    fn ends_bytes(&self) -> usize {
        self.padded() / PADDING * size_of::<End>()
    }

    /// Outliers that a panel's tokens may have.
    fn most_outliers(&self) -> usize {
        self.cols / ELEMENTS_PER_OUTLIER * TOKENS_PER_PANEL
    }

    /// Columns that may be an outlier of one of a panel's tokens.
    fn most_columns(&self) -> usize {
        self.most_outliers().min(self.cols)
    }
}

/// Lists the outliers of a panel; gives each token's limit, above which its elements are among them.
pub(super) struct FindOutliers<'a> {
    pub layout: &'a Int8Layout,
    pub x: InputRows<'a>,
    pub panel: usize,
    /// Where the list goes.
    pub view: OutlierView,
    /// As many bytes as the panel has values, of which nothing is needed afterwards.
    pub scratch: *mut u8,
}

impl Kernel for FindOutliers<'_> {
    type Output = [f32; TOKENS_PER_PANEL];

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) -> [f32; TOKENS_PER_PANEL] {
        let FindOutliers { layout, x, panel, view, scratch } = self;
        let first = panel * TOKENS_PER_PANEL;
        let tokens = TOKENS_PER_PANEL.min(x.tokens - first);
        let mut limits = [f32::INFINITY; TOKENS_PER_PANEL];
        let mut rows = [&[][..]; TOKENS_PER_PANEL];
        let spans = layout.padded() / PADDING;
        // SAFETY: the scratch has sixteen bytes for each of the padded columns: the masks take less than three of them,
        // the chunks' vectors two for each column at most. Rows have the layout's elements; the machine has the level of
        // `V`.
        unsafe {
            let masks = std::slice::from_raw_parts_mut(scratch.cast::<FarColumns>(), spans);
            let chunks = scratch.add(size_of_val(masks)).cast::<f32>();
            masks.fill(FarColumns { tokens: [0; PADDING], present: Columns::default() });
            for lane in 0..tokens {
                rows[lane] = std::slice::from_raw_parts(x.row(first + lane), layout.cols);
                if let Some(limit) = limit_of::<V>(rows[lane], chunks) {
                    limits[lane] = limit;
                    mark::<V>(rows[lane], limit, chunks, masks, lane);
                }
            }
            let (mut cols, mut values) = (0, 0);
            for (span, far) in masks.iter().enumerate() {
                for col in far.present.iter() {
                    let tokens = far.tokens[col];
                    let enough = values + tokens.count_ones() as usize <= layout.most_outliers();
                    assert!(enough && cols < layout.most_columns(), "more outliers than a row can have");
                    // The list has room for as many, as just compared.
                    view.cols.cast_mut().add(cols).write(col as u8);
                    view.tokens.cast_mut().add(cols).write(tokens);
                    cols += 1;
                    for lane in set_bits(tokens.into()) {
                        view.values.cast_mut().add(values).write(rows[lane][span * PADDING + col]);
                        values += 1;
                    }
                }
                view.ends.cast_mut().add(span).write(End { cols: cols as u32, values: values as u32 });
            }
        }
        limits
    }
}

/// The columns of a span in which a token has an outlier.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct FarColumns {
    present: Columns,
    /// Of each column a bit for each token.
    tokens: [u16; PADDING],
}

/// Marks the elements of a row above its limit.
///
/// # Safety
/// The chunks are the row's, as [`limit_of`] left them; the machine has the level of `V`.
#[inline(always)]
unsafe fn mark<V: Lanes>(row: &[f32], limit: f32, chunks: *const f32, masks: &mut [FarColumns], token: usize) {
    let mut mark_each = |first: usize, elements: &[f32]| {
        for (col, x) in (first..).zip(elements) {
            if x.abs() > limit {
                let far = &mut masks[col / PADDING];
                far.tokens[col % PADDING] |= 1 << token;
                far.present.insert(col % PADDING);
            }
        }
    };
    let whole = row.chunks_exact(AT_ONCE * V::LANES);
    let rest = whole.remainder();
    for (i, chunk) in whole.enumerate() {
        // SAFETY: says the caller.
        unsafe {
            let limit = V::splat(limit * NEARLY * limit);
            if !V::any(limit.less(V::load(chunks.add((2 * i + 1) * V::LANES)))) {
                continue;
            }
            for (vector, x) in load::<V>(chunk).into_iter().enumerate() {
                if V::any(limit.less(x.mul(x))) {
                    let first = vector * V::LANES;
                    mark_each(i * AT_ONCE * V::LANES + first, &chunk[first..first + V::LANES]);
                }
            }
        }
    }
    mark_each(row.len() - rest.len(), rest);
}

/// Some columns of a span.
#[derive(Clone, Copy, Default)]
pub(in crate::matmul) struct Columns([u64; PADDING / 64]);

impl Columns {
    /// A bit for each of sixteen columns, which start at `16 * place`.
    #[inline(always)]
    pub fn sixteen(&self, place: usize) -> u16 {
        (self.0[place / 4] >> (16 * (place % 4))) as u16
    }

    #[inline(always)]
    pub fn insert(&mut self, col: usize) {
        self.0[col / 64] |= 1 << (col % 64);
    }

    /// In order.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let words = self.0.into_iter().enumerate();
        words.flat_map(|(word, bits)| set_bits(bits).map(move |bit| 64 * word + bit))
    }
}

/// The limit of a row, `FAR` times the mean of what is near; `None` where nothing is above it. Of every whole chunk it
/// leaves a vector of sums of squares, and one of largest squares.
///
/// # Safety
/// The chunks are writable for two numbers in `AT_ONCE` of the row's; the machine has the level of `V`.
#[inline(always)]
unsafe fn limit_of<V: Lanes>(row: &[f32], chunks: *mut f32) -> Option<f32> {
    let whole = row.chunks_exact(AT_ONCE * V::LANES);
    let rest = whole.remainder();
    // SAFETY: says the caller; vectors lie within the row.
    unsafe {
        let zero = V::splat(0.0);
        let (mut sums, mut largest) = (zero, zero);
        for (i, chunk) in whole.clone().enumerate() {
            let x: [V; AT_ONCE] = load(chunk);
            let squares = [x[0].mul(x[0]), x[1].mul(x[1]), x[2].mul(x[2]), x[3].mul(x[3])];
            let sum = squares[0].add(squares[1]).add(squares[2].add(squares[3]));
            let most = squares[0].max(squares[1]).max(squares[2].max(squares[3]));
            sum.store(chunks.add(2 * i * V::LANES));
            most.store(chunks.add((2 * i + 1) * V::LANES));
            (sums, largest) = (sums.add(sum), largest.max(most));
        }
        let (mut sum, mut largest) = (sums.sum(), largest.maximum());
        for x in rest {
            (sum, largest) = (sum + x * x, largest.max(x * x));
        }
        let near = sum / row.len() as f32 * (NEAR * NEAR);
        // Neither holds of what is not a number, nor of infinity.
        if !(sum / row.len() as f32 >= SMALLEST_SQUARE && largest > near) {
            return None;
        }
        let mut sums = zero;
        for (i, chunk) in whole.enumerate() {
            let mut sum = V::load(chunks.add(2 * i * V::LANES));
            let most = V::load(chunks.add((2 * i + 1) * V::LANES));
            if V::any(V::splat(near).less(most)) {
                sum = zero;
                for x in load::<V>(chunk) {
                    let square = x.mul(x);
                    sum = sum.add(V::select(V::splat(near).less(square), zero, square));
                }
            }
            sums = sums.add(sum);
        }
        let sum = sums.sum() + rest.iter().map(|x| x * x).filter(|square| *square <= near).sum::<f32>();
        // Squares below the smallest may be missing in the sum, so nothing below is an outlier.
        let limit = (sum / row.len() as f32 * (FAR * FAR)).max(SMALLEST_SQUARE);
        (largest > limit).then(|| limit.sqrt())
    }
}

/// # Safety
/// The machine has the level of `V`; the chunk has as many vectors.
#[inline(always)]
unsafe fn load<V: Lanes>(chunk: &[f32]) -> [V; AT_ONCE] {
    // SAFETY: says the caller.
    unsafe {
        let mut vectors = [V::splat(0.0); AT_ONCE];
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = V::load(chunk.as_ptr().add(i * V::LANES));
        }
        vectors
    }
}
