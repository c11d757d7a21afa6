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
    /// `[cols / 16]`: the greatest sum of the squares of a token's 16 values.
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

/// Brings sixteen tokens to a panel, in plain loops as well.
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
        for (lane, limit) in limits.into_iter().enumerate() {
            let token = panel * TOKENS_PER_PANEL + lane;
            // SAFETY: the maker vouches for x and the view; the token is below x.tokens.
            unsafe {
                let row = (token < x.tokens).then(|| std::slice::from_raw_parts(x.row(token), layout.cols));
                match layout.group {
                    ActivationGroup::Of32 => write_lane::<32>(layout, row, limit, view, lane),
                    ActivationGroup::Of256 => write_lane::<256>(layout, row, limit, view, lane),
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
            if let (RowOrder::Eights, Some(values)) = (layout.order, values.first_chunk_mut::<PADDING>()) {
                bring_to_eights(values);
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

/// Brings 256 values to [`RowOrder::Eights`].
#[inline(always)]
fn bring_to_eights(values: &mut [i8; 256]) {
    let natural = *values;
    let (from, to) = (natural.as_chunks::<8>().0, values.as_chunks_mut::<8>().0);
    for (place, to) in to.iter_mut().enumerate() {
        *to = from[place % 8 * 4 + place / 8];
    }
}

#[inline(always)]
unsafe fn write_lane<const GROUP: usize>(
    layout: &Int8Layout,
    row: Option<&[f32]>,
    limit: f32,
    view: PanelView,
    lane: usize,
) {
    let flip = if layout.panels == Panels::Unsigned { 0x8080_8080 } else { 0 };
    let mut values = [0i8; GROUP];
    let mut scale = 0.0;
    for g in 0..layout.cols / GROUP {
        if let Some(x) = row.and_then(|row| row[g * GROUP..].first_chunk::<GROUP>()) {
            scale = quantise(&x.map(|x| if x.abs() > limit { 0.0 } else { x }), &mut values);
        }
        let unit = if GROUP == 32 { scale } else { 1.0 };
        // SAFETY: the view's arrays were laid out for all groups and sixteen lanes.
        unsafe {
            let to = view.values.cast_mut().cast::<u32>().add(g * GROUP / 4 * TOKENS_PER_PANEL + lane);
            for (k, four) in values.as_chunks::<4>().0.iter().enumerate() {
                to.add(k * TOKENS_PER_PANEL).write(u32::from_le_bytes(four.map(|v| v as u8)) ^ flip);
            }
            *view.scales.cast_mut().add(g * TOKENS_PER_PANEL + lane) = scale;
            for (s, values) in values.as_chunks::<16>().0.iter().enumerate() {
                let squares = values.iter().map(|value| i32::from(*value).pow(2)).sum::<i32>() as f32;
                let most = &mut *view.squares16.cast_mut().add(g * (GROUP / 16) + s);
                *most = if lane == 0 { squares } else { most.max(squares) };
            }
            for (s, values) in values.as_chunks::<32>().0.iter().enumerate() {
                let at = g * (GROUP / 32) + s;
                let (low, high) = (sum(&values[..16]), sum(&values[16..]));
                *view.sums32.cast_mut().add(at * TOKENS_PER_PANEL + lane) = unit * (low + high) as f32;
                *view.sums16.cast_mut().add(2 * at * TOKENS_PER_PANEL + lane) = unit * low as f32;
                *view.sums16.cast_mut().add((2 * at + 1) * TOKENS_PER_PANEL + lane) = unit * high as f32;
                if GROUP == 256 {
                    let (pair, half) = (at / 2 * TOKENS_PER_PANEL + lane, at % 2);
                    view.pairs32.cast_mut().add(2 * pair + half).write((low + high) as i16);
                    let pair = at * TOKENS_PER_PANEL + lane;
                    view.pairs16.cast_mut().cast::<[i16; 2]>().add(pair).write([low as i16, high as i16]);
                }
            }
        }
    }
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
    if inverse == 0.0 {
        values.fill(0);
        return scale;
    }
    for (value, x) in values.iter_mut().zip(x) {
        // Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits.
        *value = ((x * inverse + 12_582_912.0).to_bits() as i32 - 0x4b40_0000) as i8;
    }
    scale
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
