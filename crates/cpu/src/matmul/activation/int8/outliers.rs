//! Activations far from the rest of their token, which panels keep in F32 beside the integers.
//!
//! A few features of a model are many times larger than the others ("outlier features", LLM.int8(), Dettmers et al.
//! 2022): a scale that reaches them leaves their neighbours few steps. So the integers of a panel have zeros there,
//! and a list per span of 256 columns has what belongs there. What counts as far depends on the token's own row only.

use super::{Int8Layout, LINE, PADDING, TOKENS_PER_PANEL};
use crate::lanes::{Kernel, Lanes};
use crate::matmul::InputRows;

/// Of its row's root mean square, the elements up to this many times as large count, ...
const NEAR: f32 = 6.0;
/// ... and what is this many times as large as that mean is an outlier. Measured on three models: a fifth to two fifths
/// of the divergence from F32 activations are left, and up to two columns in a hundred are an outlier of a panel.
const FAR: f32 = 8.0;
/// A row has at most one outlier among this many elements, and some room is left for rounding: above `NEAR` there are
/// one in `NEAR` squared at most, and below as many in `FAR` squared.
const ELEMENTS_PER_OUTLIER: usize = 22;
/// Rows with a smaller mean square have no outliers, and no smaller square is one: it may have vanished from a sum.
const SMALLEST_SQUARE: f32 = 1e-30;
/// Vectors of a row that are looked at together.
const AT_ONCE: usize = 4;

/// The outliers of a panel, by columns.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct OutlierView {
    /// `[spans]`: how many columns the list has up to the end of each span.
    ends: *const u32,
    /// The columns, from the beginning of their span.
    cols: *const u8,
    /// `[column of the list][16 tokens]`: zero where a token has no outlier.
    values: *const [f32; TOKENS_PER_PANEL],
}

/// The outliers of a span.
pub(in crate::matmul) struct Outliers<'a> {
    /// The columns, from the beginning of the span.
    pub cols: &'a [u8],
    /// Of each column, what its tokens have there, or zero.
    pub values: &'a [[f32; TOKENS_PER_PANEL]],
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
            let start = if span == 0 { 0 } else { *self.ends.add(span - 1) as usize };
            let count = *self.ends.add(span) as usize - start;
            Outliers {
                cols: std::slice::from_raw_parts(self.cols.add(start), count),
                values: std::slice::from_raw_parts(self.values.add(start), count),
            }
        }
    }
}

impl Int8Layout {
    /// The outliers of panel `panel`.
    pub fn outliers(&self, prepared: *const u8, panel: usize) -> OutlierView {
        let ends = prepared.wrapping_add((panel + 1) * self.panel_stride() - self.outlier_bytes());
        let cols = ends.wrapping_add(self.ends_bytes());
        let values = cols.wrapping_add(self.most_outliers().next_multiple_of(LINE));
        OutlierView { ends: ends.cast(), cols, values: values.cast() }
    }

    /// Bytes of a panel's outliers, whole lines: they are its end.
    pub(super) fn outlier_bytes(&self) -> usize {
        let columns = self.most_outliers();
        self.ends_bytes() + columns.next_multiple_of(LINE) + columns * LINE
    }

    fn ends_bytes(&self) -> usize {
        (self.padded() / PADDING * size_of::<u32>()).next_multiple_of(LINE)
    }

    /// Columns that may be an outlier of one of a panel's tokens.
    fn most_outliers(&self) -> usize {
        (self.cols / ELEMENTS_PER_OUTLIER * TOKENS_PER_PANEL).min(self.cols)
    }
}

/// Lists the outliers of a panel; gives each token's limit, above which its elements are among them.
pub(super) struct FindOutliers<'a> {
    pub layout: &'a Int8Layout,
    pub x: InputRows<'a>,
    pub panel: usize,
    /// Where the list goes.
    pub view: OutlierView,
}

impl Kernel for FindOutliers<'_> {
    type Output = [f32; TOKENS_PER_PANEL];

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) -> [f32; TOKENS_PER_PANEL] {
        let FindOutliers { layout, x, panel, view } = self;
        let first = panel * TOKENS_PER_PANEL;
        let tokens = TOKENS_PER_PANEL.min(x.tokens - first);
        let mut limits = [f32::INFINITY; TOKENS_PER_PANEL];
        let mut rows = [&[][..]; TOKENS_PER_PANEL];
        for (lane, (row, limit)) in rows.iter_mut().zip(&mut limits).enumerate().take(tokens) {
            // SAFETY: the token is one of x's, whose rows have the layout's elements.
            let elements = unsafe { std::slice::from_raw_parts(x.row(first + lane), layout.cols) };
            // SAFETY: the machine has the level of `V`.
            if let Some(far) = unsafe { limit_of::<V>(elements) } {
                (*row, *limit) = (elements, far);
            }
        }
        let mut count = 0;
        for (span, first) in (0..layout.cols).step_by(PADDING).enumerate() {
            let mut far = FarColumns { tokens: [0; PADDING], present: Columns::default() };
            for (lane, (row, limit)) in rows.iter().zip(limits).enumerate() {
                if let Some(row) = row.get(first..) {
                    // SAFETY: the machine has the level of `V`.
                    unsafe { far.add::<V>(&row[..PADDING.min(row.len())], limit, lane) };
                }
            }
            for col in far.present.iter() {
                assert!(count < layout.most_outliers(), "more outliers than a row can have");
                let is_far = |lane: usize| far.tokens[col] >> lane & 1 != 0;
                let lanes = std::array::from_fn(|lane| if is_far(lane) { rows[lane][first + col] } else { 0.0 });
                // SAFETY: the list has room for as many, as just compared.
                unsafe {
                    view.cols.cast_mut().add(count).write(col as u8);
                    view.values.cast_mut().add(count).write(lanes);
                }
                count += 1;
            }
            // SAFETY: the list has an end for every span.
            unsafe { view.ends.cast_mut().add(span).write(count as u32) };
        }
        limits
    }
}

/// The columns of a span in which a token has an outlier.
struct FarColumns {
    /// Of each column a bit for each token.
    tokens: [u16; PADDING],
    present: Columns,
}

impl FarColumns {
    /// Adds a token's elements above its limit.
    #[inline(always)]
    unsafe fn add<V: Lanes>(&mut self, row: &[f32], limit: f32, token: usize) {
        let chunks = row.chunks_exact(AT_ONCE * V::LANES);
        let whole = row.len() - chunks.remainder().len();
        for (chunk, elements) in chunks.enumerate() {
            // SAFETY: the vectors lie within the chunk; the machine has the level, says the caller.
            unsafe {
                let limits = V::splat(limit);
                let mut magnitudes = [V::splat(0.0); AT_ONCE];
                let mut largest = V::splat(0.0);
                for (i, magnitude) in magnitudes.iter_mut().enumerate() {
                    let x = V::load(elements.as_ptr().add(i * V::LANES));
                    *magnitude = x.max(V::splat(0.0).sub(x));
                    largest = largest.max(*magnitude);
                }
                if !V::any(limits.less(largest)) {
                    continue;
                }
                for (i, elements) in elements.chunks_exact(V::LANES).enumerate() {
                    if V::any(limits.less(magnitudes[i])) {
                        self.add_each(elements, (chunk * AT_ONCE + i) * V::LANES, limit, token);
                    }
                }
            }
        }
        self.add_each(&row[whole..], whole, limit, token);
    }

    /// As [`FarColumns::add`], for elements from a column on.
    #[inline(always)]
    fn add_each(&mut self, elements: &[f32], first: usize, limit: f32, token: usize) {
        for (col, x) in (first..).zip(elements) {
            if x.abs() > limit {
                self.tokens[col] |= 1 << token;
                self.present.insert(col);
            }
        }
    }
}

/// Some columns of a span.
#[derive(Clone, Copy, Default)]
pub(in crate::matmul) struct Columns([u64; PADDING / 64]);

impl Columns {
    #[inline(always)]
    pub fn insert(&mut self, col: usize) {
        self.0[col / 64] |= 1 << (col % 64);
    }

    /// In order.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let next = |left: &u64| Some(left & (left - 1)).filter(|left| *left != 0);
        let words = self.0.into_iter().enumerate().filter(|(_, word)| *word != 0);
        words.flat_map(move |(word, bits)| {
            std::iter::successors(Some(bits), next).map(move |left| 64 * word + left.trailing_zeros() as usize)
        })
    }
}

/// The limit of a row; `None` where nothing is above it.
#[inline(always)]
unsafe fn limit_of<V: Lanes>(row: &[f32]) -> Option<f32> {
    // SAFETY: the machine has the level, says the caller.
    unsafe {
        let (sum, largest) = squares::<V, true>(row, f32::INFINITY);
        let square = sum / row.len() as f32;
        // Neither holds of what is not a number, nor of infinity.
        if !(square >= SMALLEST_SQUARE && largest > square * (NEAR * NEAR)) {
            return None;
        }
        let (sum, _) = squares::<V, false>(row, square * (NEAR * NEAR));
        // Squares below the smallest may be missing in the sum, so nothing below is an outlier.
        let limit = (sum / row.len() as f32 * (FAR * FAR)).max(SMALLEST_SQUARE);
        (largest > limit).then(|| limit.sqrt())
    }
}

/// The sum of `ALL` squares, or those up to `most`, and the largest square of all.
#[inline(always)]
unsafe fn squares<V: Lanes, const ALL: bool>(row: &[f32], most: f32) -> (f32, f32) {
    // SAFETY: vectors lie within the row; the machine has the level, says the caller.
    unsafe {
        let (zero, limit) = (V::splat(0.0), V::splat(most));
        let mut sums = [zero; AT_ONCE];
        let mut largest = [zero; AT_ONCE];
        let chunks = row.chunks_exact(AT_ONCE * V::LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..AT_ONCE {
                let x = V::load(chunk.as_ptr().add(i * V::LANES));
                let square = x.mul(x);
                sums[i] = sums[i].add(if ALL { square } else { V::select(limit.less(square), zero, square) });
                largest[i] = largest[i].max(square);
            }
        }
        let mut sum = sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum();
        let mut largest = largest[0].max(largest[1]).max(largest[2].max(largest[3])).maximum();
        for x in rest {
            sum += if !ALL && x * x > most { 0.0 } else { x * x };
            largest = largest.max(x * x);
        }
        (sum, largest)
    }
}
