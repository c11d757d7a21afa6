//! Activations as 8-bit integers with a scale per 32 or 256.
//!
//! Few tokens are kept as rows, for kernels that stream weights; many as panels of 16 tokens, whose
//! vectors hold four consecutive elements of every token, for kernels that broadcast weights. A token has the same
//! integers and scales in both, but for [`outliers`], which panels keep apart, and for panels of fewer levels
//! ([`Panels::Winograd`]). Sources: GGUF's users compare with Q8_0 (32 per scale) and Q8_K (256); scales are F32 here,
//! with [`SCALE_BITS`] bits.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod outliers;
#[cfg(test)]
mod tests;

use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::matmul::InputRows;
use crate::scales::group_factors;
pub(in crate::matmul) use outliers::Columns;
use outliers::FindOutliers;

/// Tokens of one panel: 32-bit lanes of the widest vectors.
pub(in crate::matmul) const TOKENS_PER_PANEL: usize = 16;
/// From this many tokens on, activations form panels.
pub(super) const PANELS_FROM: usize = 9;
/// Rows are padded to whole super-blocks, so that kernels may read beyond the last block of an odd row.
const PADDING: usize = 256;
const LINE: usize = 64;

/// Elements that share a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) enum ActivationGroup {
    Of32,
    Of256,
}

/// Whether and how many tokens are laid out as panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) enum Panels {
    /// Rows for any number of tokens.
    Never,
    /// Bytes are `value + 128`: the unsigned operand of VNNI's dot product.
    Unsigned,
    /// Bytes are the values.
    Signed,
    /// For [`crate::matmul::gemm`]'s inner products of Winograd: of every eight elements the first four are
    /// `value + 128`, the others the values, none above `largest` so that weights can be added to them. Only at
    /// [`Isa::Avx512Zen4`].
    Winograd { largest: i8 },
}

impl Panels {
    /// The largest magnitude of the values.
    pub fn largest(self) -> f32 {
        match self {
            Panels::Winograd { largest } => largest.into(),
            _ => LARGEST,
        }
    }

    /// What of the bytes of elements from `k` on is flipped, `k` a multiple of four.
    pub fn flip(self, k: usize) -> u8 {
        match self {
            Panels::Unsigned => 0x80,
            Panels::Winograd { .. } if k % 8 < 4 => 0x80,
            _ => 0,
        }
    }
}

/// The order of a row's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) enum RowOrder {
    Natural,
    /// Of each 256, the first eight of every group of 32, then the second eight of every group, and so on.
    Eights,
    /// Of each 256, every fourth from the first on, then every fourth from the second on, and so on.
    Fourths,
    /// Of each 128, the even ones, then the odd ones.
    Halves,
}

/// The layout for rows of `cols` elements, a multiple of 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::matmul) struct Int8Layout {
    pub cols: usize,
    pub group: ActivationGroup,
    pub order: RowOrder,
    pub panels: Panels,
    /// The level the preparation is compiled for.
    pub isa: Isa,
}

/// One token as a row; every array covers the padded row, and padding is zero.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct RowView {
    /// `[cols]`, in the layout's order.
    pub values: *const i8,
    /// `[cols / 32]`, repeated where the group is larger.
    pub scales: *const f32,
    /// `[cols / 32]`: sums of 32 values times their scale.
    pub scaled_sums: *const f32,
    /// `[cols / 16]`: sums of 16 values.
    pub sums16: *const i16,
    /// `[cols / 32]`: sums of 32 values.
    pub sums32: *const i16,
}

/// Sixteen tokens as a panel.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct PanelView {
    /// `[cols / 4][16 tokens][4]`
    pub values: *const u8,
    /// `[cols / group][16 tokens]`
    pub scales: *const f32,
    /// `[cols / 32][16 tokens]`: sums of 32 values, times their scale where the group is of 32.
    pub sums32: *const f32,
    /// `[cols / 16][16 tokens]`: the same of 16 values.
    pub sums16: *const f32,
    /// `[cols / 64][16 tokens][2]`: sums of 32 values, where the group is of 256.
    pub pairs32: *const i16,
    /// `[cols / 32][16 tokens][2]`: the same of 16 values.
    pub pairs16: *const i16,
    /// `[cols / 16]`, at levels with AVX-512: the greatest sum of the squares of a token's 16 values.
    pub squares16: *const f32,
    /// `[cols / 32][16 tokens]`, of [`Panels::Winograd`]: less the products of each eight's first and second four bytes.
    pub starts32: *const i32,
    /// `[cols / 16][16 tokens]`: the same of 16 values.
    pub starts16: *const i32,
}

impl ActivationGroup {
    pub const fn len(self) -> usize {
        match self {
            ActivationGroup::Of32 => 32,
            ActivationGroup::Of256 => 256,
        }
    }
}

impl Int8Layout {
    pub fn uses_panels(&self, tokens: usize) -> bool {
        self.panels != Panels::Never && tokens >= PANELS_FROM
    }

    pub fn bytes(&self, tokens: usize) -> usize {
        let as_rows = tokens * self.row_stride();
        if self.uses_panels(tokens) {
            // No smaller than the rows of fewer tokens, so that the size grows with the tokens.
            let fewer = (PANELS_FROM - 1) * self.row_stride();
            fewer.max(tokens.div_ceil(TOKENS_PER_PANEL) * self.panel_stride())
        } else {
            as_rows
        }
    }

    pub fn pieces(&self, tokens: usize) -> usize {
        if self.uses_panels(tokens) { tokens.div_ceil(TOKENS_PER_PANEL) } else { tokens }
    }

    /// # Safety
    /// As [`super::ActivationLayout::prepare`], on a machine with the layout's level.
    pub unsafe fn prepare(&self, x: InputRows<'_>, piece: usize, out: *mut u8) {
        // SAFETY: the caller vouches for the same.
        unsafe {
            if !self.uses_panels(x.tokens) {
                return dispatch(self.isa, PrepareRow { layout: self, x, token: piece, out });
            }
            let winograd = matches!(self.panels, Panels::Winograd { .. });
            assert!(!winograd || self.isa == Isa::Avx512Zen4, "{} has no such panels", self.isa);
            let (view, outliers) = (self.panel(out, piece), self.outliers(out, piece));
            // The list comes first, and has the room of the values until they are written.
            let scratch = view.values.cast_mut();
            let find = FindOutliers { layout: self, x, panel: piece, view: outliers, scratch };
            let limits = dispatch(self.isa, find);
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Zen4 => avx512::prepare_panel(self, x, piece, limits, view),
                isa => dispatch(isa, PreparePanel { layout: self, x, panel: piece, limits, view }),
            }
        }
    }

    /// Token `token` of activations prepared as rows.
    pub fn row(&self, prepared: *const u8, token: usize) -> RowView {
        let padded = self.padded();
        let base = prepared.wrapping_add(token * self.row_stride());
        let scales = base.wrapping_add(padded);
        let scaled_sums = scales.wrapping_add(padded / 32 * 4);
        let sums16 = scaled_sums.wrapping_add(padded / 32 * 4);
        let sums32 = sums16.wrapping_add(padded / 16 * 2);
        RowView {
            values: base.cast(),
            scales: scales.cast(),
            scaled_sums: scaled_sums.cast(),
            sums16: sums16.cast(),
            sums32: sums32.cast(),
        }
    }

    /// Panel `panel` of activations prepared as panels.
    pub fn panel(&self, prepared: *const u8, panel: usize) -> PanelView {
        let padded = self.padded();
        let base = prepared.wrapping_add(panel * self.panel_stride());
        let scales = base.wrapping_add(padded * TOKENS_PER_PANEL);
        let sums32 = scales.wrapping_add(padded / self.group.len() * LINE);
        let sums16 = sums32.wrapping_add(padded / 32 * LINE);
        let pairs32 = sums16.wrapping_add(padded / 16 * LINE);
        let pairs16 = pairs32.wrapping_add(padded / 64 * LINE);
        let starts32 = pairs16.wrapping_add(padded / 32 * LINE);
        let (of32, of16) = self.start_lines();
        let starts16 = starts32.wrapping_add(of32 * LINE);
        let squares16 = starts16.wrapping_add(of16 * LINE);
        PanelView {
            values: base,
            scales: scales.cast(),
            sums32: sums32.cast(),
            sums16: sums16.cast(),
            pairs32: pairs32.cast(),
            pairs16: pairs16.cast(),
            squares16: squares16.cast(),
            starts32: starts32.cast(),
            starts16: starts16.cast(),
        }
    }

    fn padded(&self) -> usize {
        self.cols.next_multiple_of(PADDING)
    }

    /// Lines of a panel's start values of 32 and of 16.
    fn start_lines(&self) -> (usize, usize) {
        match self.panels {
            Panels::Winograd { .. } => (self.padded() / 32, self.padded() / 16),
            _ => (0, 0),
        }
    }

    fn row_stride(&self) -> usize {
        let padded = self.padded();
        (padded + padded / 32 * (4 + 4 + 2) + padded / 16 * 2).next_multiple_of(LINE)
    }

    fn panel_stride(&self) -> usize {
        let padded = self.padded();
        let integers = padded * TOKENS_PER_PANEL;
        let (starts32, starts16) = self.start_lines();
        let lines = padded / self.group.len() + padded / 32 + padded / 16 + padded / 64 + padded / 32;
        let lines = lines + starts32 + starts16;
        integers + lines * LINE + padded / 16 * 4 + self.outlier_bytes()
    }
}

/// Brings a token to a row, in plain loops that are compiled for every level.
struct PrepareRow<'a> {
    layout: &'a Int8Layout,
    x: InputRows<'a>,
    token: usize,
    out: *mut u8,
}

impl Kernel for PrepareRow<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let PrepareRow { layout, x, token, out } = self;
        // SAFETY: the maker vouches for x and out, and for the token.
        unsafe {
            let row = std::slice::from_raw_parts(x.row(token), layout.cols);
            let view = layout.row(out, token);
            match layout.group {
                ActivationGroup::Of32 => write_row::<32>(layout, row, view),
                ActivationGroup::Of256 => write_row::<256>(layout, row, view),
            }
        }
    }
}

/// Brings sixteen tokens to a panel, turned so that tokens are lanes, and then mostly in plain loops over them.
struct PreparePanel<'a> {
    layout: &'a Int8Layout,
    x: InputRows<'a>,
    panel: usize,
    /// Of each token: elements above are outliers, for which the panel has zeros.
    limits: [f32; TOKENS_PER_PANEL],
    view: PanelView,
}

impl Kernel for PreparePanel<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let PreparePanel { layout, x, panel, limits, view } = self;
        let (first, zeros) = (panel * TOKENS_PER_PANEL, [0f32; PADDING]);
        for col in (0..layout.cols).step_by(layout.group.len()) {
            let mut rows = [zeros.as_ptr(); TOKENS_PER_PANEL];
            for (lane, row) in rows.iter_mut().enumerate().take(x.tokens - first) {
                // SAFETY: the token is one of x's, whose rows have the columns.
                *row = unsafe { x.row(first + lane).add(col) };
            }
            // SAFETY: groups are whole; the maker vouches for the view.
            unsafe {
                match layout.group {
                    ActivationGroup::Of32 => write_group::<V, 32>(layout, rows, limits, view, col),
                    ActivationGroup::Of256 => write_group::<V, 256>(layout, rows, limits, view, col),
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn write_row<const GROUP: usize>(layout: &Int8Layout, row: &[f32], view: RowView) {
    let padded = layout.padded();
    // SAFETY: the view's arrays were laid out for the padded row in memory the caller lets this piece write.
    unsafe {
        let values = std::slice::from_raw_parts_mut(view.values.cast_mut(), padded);
        let scales = std::slice::from_raw_parts_mut(view.scales.cast_mut(), padded / 32);
        let scaled_sums = std::slice::from_raw_parts_mut(view.scaled_sums.cast_mut(), padded / 32);
        let sums16 = std::slice::from_raw_parts_mut(view.sums16.cast_mut(), padded / 16);
        let sums32 = std::slice::from_raw_parts_mut(view.sums32.cast_mut(), padded / 32);
        for (g, (x, values)) in row.as_chunks::<GROUP>().0.iter().zip(values.as_chunks_mut::<GROUP>().0).enumerate() {
            let scale = quantise(x, values);
            for (s, values) in values.as_chunks::<32>().0.iter().enumerate() {
                let at = g * (GROUP / 32) + s;
                let (low, high) = (sum(&values[..16]), sum(&values[16..]));
                scales[at] = scale;
                scaled_sums[at] = scale * (low + high) as f32;
                sums16[2 * at] = low as i16;
                sums16[2 * at + 1] = high as i16;
                sums32[at] = (low + high) as i16;
            }
            if let Some(values) = values.first_chunk_mut::<PADDING>() {
                bring_to_order(layout.order, values);
            }
        }
        let groups = row.len() / 32;
        values[row.len()..].fill(0);
        scales[groups..].fill(0.0);
        scaled_sums[groups..].fill(0.0);
        sums16[2 * groups..].fill(0);
        sums32[groups..].fill(0);
    }
}

/// Brings 256 values from their natural order to another.
#[inline(always)]
fn bring_to_order(order: RowOrder, values: &mut [i8; 256]) {
    let natural = *values;
    match order {
        RowOrder::Natural => {}
        RowOrder::Eights => {
            let (from, to) = (natural.as_chunks::<8>().0, values.as_chunks_mut::<8>().0);
            for (place, to) in to.iter_mut().enumerate() {
                *to = from[place % 8 * 4 + place / 8];
            }
        }
        RowOrder::Fourths => deal::<4>(&natural, values),
        RowOrder::Halves => {
            for (from, to) in natural.as_chunks::<128>().0.iter().zip(values.as_chunks_mut::<128>().0) {
                deal::<2>(from, to);
            }
        }
    }
}

/// Deals values out to `N` equal parts in turn.
#[inline(always)]
fn deal<const N: usize>(from: &[i8], to: &mut [i8]) {
    let each = from.len() / N;
    for (place, from) in from.as_chunks::<N>().0.iter().enumerate() {
        for (part, value) in from.iter().enumerate() {
            to[part * each + place] = *value;
        }
    }
}

/// A number for each token of a panel.
type OfTokens<T> = [T; TOKENS_PER_PANEL];

/// Writes the `GROUP` elements of every token that are at `rows`, the panel's from column `first` on.
///
/// # Safety
/// The machine has the level of `V`; the rows have the elements, and the view the columns.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn write_group<V: Lanes, const GROUP: usize>(
    layout: &Int8Layout,
    rows: OfTokens<*const f32>,
    limits: OfTokens<f32>,
    view: PanelView,
    first: usize,
) {
    let mut columns = [[0f32; TOKENS_PER_PANEL]; GROUP];
    for (block, columns) in columns.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        // SAFETY: the rows have the elements of the group.
        unsafe {
            V::transpose(rows.map(|row| row.add(16 * block)), columns.each_mut().map(|column| column.as_mut_ptr()))
        };
    }
    // SAFETY: the machine has the level.
    let (scales, inverses) = unsafe { find_scales::<V, GROUP>(&mut columns, limits) };
    let unit = if GROUP == 32 { scales } else { [1.0; TOKENS_PER_PANEL] };
    let flip = if layout.panels == Panels::Unsigned { 0x8080_8080 } else { 0 };
    // SAFETY: the view has room for all columns and tokens.
    unsafe {
        put(view.scales, first / GROUP, scales);
        for (at, columns) in (first / 32..).zip(columns.as_chunks::<32>().0) {
            let mut halves = [[0i32; TOKENS_PER_PANEL]; 2];
            for (half, columns) in columns.as_chunks::<16>().0.iter().enumerate() {
                let sums = &mut halves[half];
                for (four, columns) in columns.as_chunks::<4>().0.iter().enumerate() {
                    let mut bytes = [0u32; TOKENS_PER_PANEL];
                    for (place, column) in columns.iter().enumerate() {
                        for lane in 0..TOKENS_PER_PANEL {
                            let value = round(column[lane], inverses[lane]);
                            bytes[lane] |= (value as u32 & 0xff) << (8 * place);
                            sums[lane] += value;
                        }
                    }
                    put(view.values.cast::<u32>(), 8 * at + 4 * half + four, bytes.map(|bytes| bytes ^ flip));
                }
            }
            let [low, high] = halves;
            let scaled = |sums: OfTokens<i32>| std::array::from_fn(|lane| unit[lane] * sums[lane] as f32);
            let both: OfTokens<i32> = std::array::from_fn(|lane| low[lane] + high[lane]);
            put(view.sums16, 2 * at, scaled(low));
            put(view.sums16, 2 * at + 1, scaled(high));
            put(view.sums32, at, scaled(both));
            if GROUP == 256 {
                let pairs: OfTokens<[i16; 2]> = std::array::from_fn(|lane| [low[lane] as i16, high[lane] as i16]);
                put(view.pairs16.cast(), at, pairs);
                let pairs = view.pairs32.cast_mut().add(at / 2 * 2 * TOKENS_PER_PANEL + at % 2);
                both.into_iter().enumerate().for_each(|(lane, sum)| *pairs.add(2 * lane) = sum as i16);
            }
        }
    }
}

/// Writes what a panel has of its tokens at a place.
#[inline(always)]
unsafe fn put<T>(to: *const T, place: usize, of_tokens: OfTokens<T>) {
    // SAFETY: the caller's panel has the place, in memory that it may write.
    unsafe { to.cast_mut().cast::<OfTokens<T>>().add(place).write(of_tokens) };
}

/// The scales of a group of every token, and what its elements are multiplied with; outliers become zeros.
///
/// # Safety
/// The machine has the level of `V`.
#[inline(always)]
unsafe fn find_scales<V: Lanes, const GROUP: usize>(
    columns: &mut [OfTokens<f32>; GROUP],
    limits: OfTokens<f32>,
) -> (OfTokens<f32>, OfTokens<f32>) {
    let mut largest = [0f32; TOKENS_PER_PANEL];
    for lane in (0..TOKENS_PER_PANEL).step_by(V::LANES) {
        // SAFETY: vectors divide the tokens; the caller vouches for the level.
        unsafe {
            let (zero, limit) = (V::splat(0.0), V::load(limits.as_ptr().add(lane)));
            let (mut most, mut finite) = (zero, zero);
            for column in columns.iter_mut() {
                let x = V::load(column.as_ptr().add(lane));
                let x = V::select(limit.less(x.max(zero.sub(x))), zero, x);
                x.store(column.as_mut_ptr().add(lane));
                most = most.max(x.max(zero.sub(x)));
                // Not a number from an element on that is not finite.
                finite = finite.add(x.sub(x));
            }
            most.add(finite).store(largest.as_mut_ptr().add(lane));
        }
    }
    let factors = largest.map(|largest| group_factors(largest, LARGEST));
    (factors.map(|(scale, _)| f32::from_bits(scale.to_bits() & SCALE_MASK)), factors.map(|(_, inverse)| inverse))
}

/// Rounds a group to `-127..=127` times the scale it returns; a group that is not finite gets a scale that is not.
#[inline(always)]
fn quantise<const GROUP: usize>(x: &[f32; GROUP], values: &mut [i8; GROUP]) -> f32 {
    // As integers, magnitudes order like the floats, and infinities and NaN come last.
    let mut largest = 0;
    for x in x {
        largest = largest.max((x.to_bits() & 0x7fff_ffff) as i32);
    }
    let (scale, inverse) = group_factors(f32::from_bits(largest as u32), LARGEST);
    let scale = f32::from_bits(scale.to_bits() & SCALE_MASK);
    for (value, x) in values.iter_mut().zip(x) {
        *value = round(*x, inverse) as i8;
    }
    scale
}

/// The nearest integer to `x * inverse`, ties to even; zero where the inverse is.
#[inline(always)]
fn round(x: f32, inverse: f32) -> i32 {
    // Adding 1.5 * 2^23 leaves the integer in the low bits.
    let integer = (x * inverse + 12_582_912.0).to_bits() as i32 - 0x4b40_0000;
    // The element of a group that is not finite may be none.
    if inverse == 0.0 { 0 } else { integer }
}

/// The largest integer.
const LARGEST: f32 = 127.0;
/// Bits of a scale: so few that three times a scale is not rounded.
pub(in crate::matmul) const SCALE_BITS: u32 = 22;
/// What a scale keeps of its bits.
const SCALE_MASK: u32 = !((1 << (f32::MANTISSA_DIGITS - SCALE_BITS)) - 1);

#[inline(always)]
fn sum(values: &[i8]) -> i32 {
    values.iter().map(|value| i32::from(*value)).sum()
}
