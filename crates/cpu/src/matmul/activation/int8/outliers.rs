//! Activations far from the rest of their token, which panels keep in F32 beside the integers.
//!
//! A few features of a model are many times larger than the others ("outlier features", LLM.int8(), Dettmers et al.
//! 2022): a scale that reaches them leaves their neighbours few steps. So the integers of a panel have zeros there,
//! and a list per span of 256 columns has what belongs there. What counts as far depends on the token's own row only.

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

/// The outliers of a panel, span by span, those of a span by columns.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct OutlierView {
    /// `[spans]`
    spans: *const SpanEntry,
    /// Of each outlier the column, from the beginning of its span, ...
    cols: *const u8,
    /// ... the token, from the beginning of the panel, ...
    tokens: *const u8,
    /// ... and what it is.
    values: *const f32,
}

/// Where a panel's list has a span.
#[derive(Clone, Copy)]
struct SpanEntry {
    /// The columns in which a token has an outlier.
    columns: Columns,
    /// Outliers up to the end of the span.
    end: u32,
    /// A bit for each token that has an outlier here.
    present: u16,
}

/// The outliers of a span.
pub(in crate::matmul) struct Outliers<'a> {
    /// A bit for each token that has any.
    pub present: u16,
    /// The columns, from the beginning of the span.
    cols: &'a [u8],
    /// The tokens, from the beginning of the panel.
    tokens: &'a [u8],
    values: &'a [f32],
}

impl<'a> Outliers<'a> {
    /// Column, token and value of each.
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, f32)> + use<'a> {
        let places = self.cols.iter().zip(self.tokens);
        places.zip(self.values).map(|((col, token), value)| (usize::from(*col), usize::from(*token), *value))
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
            let first = if span == 0 { 0 } else { (*self.spans.add(span - 1)).end as usize };
            let count = (*self.spans.add(span)).end as usize - first;
            Outliers {
                present: (*self.spans.add(span)).present,
                cols: std::slice::from_raw_parts(self.cols.add(first), count),
                tokens: std::slice::from_raw_parts(self.tokens.add(first), count),
                values: std::slice::from_raw_parts(self.values.add(first), count),
            }
        }
    }

    /// The columns of a span in which a token has an outlier.
    ///
    /// # Safety
    /// As [`OutlierView::of_span`].
    #[inline(always)]
    pub unsafe fn columns(self, span: usize) -> Columns {
        // SAFETY: says the caller.
        unsafe { (*self.spans.add(span)).columns }
    }
}

impl Int8Layout {
    /// The outliers of panel `panel`.
    pub fn outliers(&self, prepared: *const u8, panel: usize) -> OutlierView {
        let spans = prepared.wrapping_add((panel + 1) * self.panel_stride() - self.outlier_bytes());
        let values = spans.wrapping_add(self.padded() / PADDING * size_of::<SpanEntry>());
        let cols = values.wrapping_add(self.most_outliers() * size_of::<f32>());
        let tokens = cols.wrapping_add(self.most_outliers());
        OutlierView { spans: spans.cast(), cols, tokens, values: values.cast() }
    }

    /// Bytes of a panel's outliers, whole lines: they are its end.
    pub(super) fn outlier_bytes(&self) -> usize {
        let of_outlier = size_of::<f32>() + 2 * size_of::<u8>();
        (self.padded() / PADDING * size_of::<SpanEntry>() + self.most_outliers() * of_outlier).next_multiple_of(LINE)
    }

    /// Outliers that a panel's tokens may have.
    fn most_outliers(&self) -> usize {
        self.cols / ELEMENTS_PER_OUTLIER * TOKENS_PER_PANEL
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
            let mut count = 0;
            for (span, far) in masks.iter().enumerate() {
                let mut present = 0;
                for col in far.present.iter() {
                    let tokens = far.tokens[col];
                    let enough = count + tokens.count_ones() as usize <= layout.most_outliers();
                    assert!(enough, "more outliers than a row can have");
                    present |= tokens;
                    for lane in set_bits(tokens.into()) {
                        // The list has room for as many, as just compared.
                        view.cols.cast_mut().add(count).write(col as u8);
                        view.tokens.cast_mut().add(count).write(lane as u8);
                        view.values.cast_mut().add(count).write(rows[lane][span * PADDING + col]);
                        count += 1;
                    }
                }
                view.spans.cast_mut().add(span).write(SpanEntry { columns: far.present, end: count as u32, present });
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
    fn insert(&mut self, col: usize) {
        self.0[col / 64] |= 1 << (col % 64);
    }

    #[inline(always)]
    pub fn insert_all(&mut self, others: Columns) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word |= other);
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
