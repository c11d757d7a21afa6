//! Many tokens: weights are decoded to tiles of integers and broadcast against panels of tokens.
//!
//! [`tiles`] has the loops. Here are the 8-bit tiles: integer sums are brought to F32 at every group of the weights'
//! scales, as exactly as few tokens are; [`outliers`] adds what the integers leave out. [`int16`] has the tiles of
//! half-precision weights, [`float`] those of F32 arithmetic.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
pub(super) mod float;
mod frame;
#[cfg(target_arch = "aarch64")]
mod i8mm;
pub(super) mod int16;
#[cfg(target_arch = "aarch64")]
mod neon;
mod outliers;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod store;
mod tiles;

use std::ops::Range;

use ascua_gguf::TensorType;

use super::activation::{Int8Layout, PanelView, Panels, TOKENS_PER_PANEL};
use super::integers::{IntegerFormat, Offsets, SPAN};
use super::quantised::Task;
use crate::isa::Isa;
use crate::lanes::dispatch;
use outliers::{AddOutliers, KeepWeights, OutlierSums, OutlierWeights};
use store::store;
use tiles::{Extent, Partial, Results, TILE_ROWS, Tiled, Weights};

const GROUPS: usize = SPAN / 16;

/// The product of a format's tiles with panels, for one level.
#[derive(Clone, Copy)]
pub(super) struct Gemm {
    decode: DecodeTile,
    multiply: MultiplyTile,
    panels: Panels,
}

/// A decoded tile: `TILE_ROWS` rows of up to 256 columns.
#[repr(C, align(64))]
struct Tile {
    values: [[i8; SPAN]; TILE_ROWS],
    scales: [[f32; GROUPS]; TILE_ROWS],
    offsets: [[f32; GROUPS]; TILE_ROWS],
    /// Where scales are products: their small integers, and the factor they share.
    sub_scales: [[u32; GROUPS]; TILE_ROWS],
    factors: [f32; TILE_ROWS],
    /// With sub-scales: the offsets as integers, and their factors.
    offset_integers: [[i16; GROUPS]; TILE_ROWS],
    offset_factors: [f32; TILE_ROWS],
    /// With sub-scales: the sum of the squares of each group's values; of eight groups twice.
    squares: [[f32; GROUPS]; TILE_ROWS],
    /// What integer sums start from, for each group.
    starts: [[i32; GROUPS]; TILE_ROWS],
    /// With sub-scales: what their sum starts from, where products leave the groups' start values out.
    totals: [i32; TILE_ROWS],
    outliers: OutlierWeights,
    /// From the first columns' product to the last columns' store.
    outlier_sums: OutlierSums,
}

/// Decodes weights to the first rows of a tile, in the form that the level's kernel multiplies: no more rows than it has, of
/// whole blocks of at most [`SPAN`] columns.
type DecodeTile = unsafe fn(format: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile);
/// Adds a tile's products to the partial results of the extent's panels in turn; `partial` is its very first.
type MultiplyTile = unsafe fn(tile: &Tile, extent: Extent<'_>, partial: *mut Partial);

/// Decodes weights as their format does.
///
/// # Safety
/// As [`DecodeTile`], on a machine with the format's level.
unsafe fn decode(format: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    for row in 0..weights.rows {
        let (values, scales, offsets) = (&mut tile.values[row], &mut tile.scales[row], &mut tile.offsets[row]);
        if format.offsets == Offsets::None {
            offsets.fill(0.0);
        }
        // SAFETY: the caller vouches for the level.
        unsafe { (format.decode)(weights.row(row), values, scales, offsets) };
    }
}

impl Gemm {
    pub const SCRATCH_BYTES: usize = tiles::scratch_bytes::<Tile>();

    /// The kernels for a type and its format, where the level has them.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn new(weight: TensorType, format: IntegerFormat, isa: Isa) -> Option<Gemm> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => avx512::gemm(weight, format),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Zen4 => avx512::gemm_with_cheap_additions(weight, format),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => pairs::gemm::<pairs::avx512::Kinds, 6, 1>(weight, format),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => Some(Gemm {
                multiply: frame::signed::<frame::Framed<avx_vnni::AvxVnni, 4, 2>>(format)?,
                decode: frame::decode_with_starts::<avx_vnni::AvxVnni>,
                panels: Panels::Unsigned,
            }),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => pairs::gemm_of_all::<pairs::avx2::Kinds, 3, 2>(weight, format),
            #[cfg(target_arch = "x86_64")]
            Isa::Sse41 => pairs::gemm_of_all::<pairs::sse41::Kinds, 3, 2>(weight, format),
            #[cfg(target_arch = "aarch64")]
            Isa::I8mm => Some(Gemm { multiply: frame::signed::<i8mm::I8mm>(format)?, decode, panels: Panels::Signed }),
            #[cfg(target_arch = "aarch64")]
            Isa::DotProd => Some(Gemm { multiply: neon::multiply_dot(format)?, decode, panels: Panels::Signed }),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(Gemm { multiply: neon::multiply(format)?, decode, panels: Panels::Signed }),
            _ => None,
        }
    }

    pub fn panels(&self) -> Panels {
        self.panels
    }

    /// # Safety
    /// As [`super::quantised::QuantisedProduct::run`]; the activations are panels.
    pub unsafe fn run(&self, format: &IntegerFormat, task: Task<'_>, rows: Range<usize>, scratch: *mut u8) {
        // SAFETY: the caller vouches for the operands; the kernels were made for this machine's level.
        unsafe { tiles::run(&Tiles { gemm: self, format, isa: task.layout.isa }, task, rows, scratch) }
    }
}

/// The tiles of a format.
struct Tiles<'a> {
    gemm: &'a Gemm,
    format: &'a IntegerFormat,
    isa: Isa,
}

impl Tiled for Tiles<'_> {
    type Tile = Tile;
    type Layout = Int8Layout;

    unsafe fn decode(&self, task: &Task<'_>, rows: Range<usize>, cols: Range<usize>, tile: &mut Tile) {
        let format = self.format;
        let span = cols.start / SPAN;
        let weights = Weights::new(task, rows, cols, |cols| cols / format.block_len * format.block_bytes);
        // SAFETY: the function was made for this machine's level.
        unsafe { (self.gemm.decode)(format, weights, tile) };
        let keep = KeepWeights {
            values: &tile.values,
            scales: &tile.scales,
            offsets: &tile.offsets,
            rows: weights.rows,
            group: format.group,
            task,
            span,
            kept: &mut tile.outliers,
        };
        // SAFETY: the activations are panels, which have the columns; the machine has their level.
        unsafe { keep.keep(self.isa) };
    }

    unsafe fn multiply(&self, tile: &mut Tile, extent: Extent<'_>, partial: *mut Partial) {
        // SAFETY: the caller vouches for the operands, and the kernel was made for this machine's level.
        unsafe {
            (self.gemm.multiply)(tile, extent, partial);
            let (weights, sums) = (&tile.outliers, &mut tile.outlier_sums);
            dispatch(self.isa, AddOutliers { weights, extent, sums });
        }
    }

    unsafe fn store(&self, tile: &Tile, panel: usize, results: Results<'_>) {
        let (apart, parts) = tile.outlier_sums.of_panel(panel);
        // SAFETY: as above.
        unsafe { store(self.isa, Results { apart, parts, ..results }) }
    }
}

impl Extent<'_> {
    /// A panel, from the extent's first column on.
    #[inline(always)]
    fn panel(&self, panel: usize) -> PanelView {
        let view = self.task.layout.panel(self.task.prepared, self.first_panel + panel);
        PanelView {
            values: view.values.wrapping_add(self.first_col * TOKENS_PER_PANEL),
            scales: view.scales.wrapping_add(self.first_col / self.task.layout.group.len() * TOKENS_PER_PANEL),
            sums32: view.sums32.wrapping_add(self.first_col / 32 * TOKENS_PER_PANEL),
            sums16: view.sums16.wrapping_add(self.first_col / 16 * TOKENS_PER_PANEL),
            pairs32: view.pairs32.wrapping_add(self.first_col / 32 * TOKENS_PER_PANEL),
            pairs16: view.pairs16.wrapping_add(self.first_col / 16 * TOKENS_PER_PANEL),
            squares16: view.squares16.wrapping_add(self.first_col / 16),
            starts32: view.starts32.wrapping_add(self.first_col / 32 * TOKENS_PER_PANEL),
            starts16: view.starts16.wrapping_add(self.first_col / 16 * TOKENS_PER_PANEL),
        }
    }
}

/// How a format's groups are scaled: fixes the loops of a kernel at compile time.
trait Scaling {
    /// Elements that share a weight scale: 16 or 32.
    const GROUP: usize;
    const OFFSETS: Offsets;
    /// Whether activations have a scale per 32; otherwise one per span.
    const ACTIVATIONS: ActivationScales;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ActivationScales {
    PerGroup,
    PerSpan,
}

macro_rules! scalings {
    ($($name:ident: $group:literal, $offsets:ident, $activations:ident;)*) => {
        $(struct $name;
        impl Scaling for $name {
            const GROUP: usize = $group;
            const OFFSETS: Offsets = Offsets::$offsets;
            const ACTIVATIONS: ActivationScales = ActivationScales::$activations;
        })*
    };
}

scalings! {
    Legacy: 32, None, PerGroup;
    LegacyOffset: 32, PerGroup, PerGroup;
    Legacy16: 16, None, PerGroup;
    Legacy16Offset: 16, PerGroup, PerGroup;
    Super32: 32, None, PerSpan;
    Super32Offset: 32, PerGroup, PerSpan;
    Super16: 16, None, PerSpan;
    Super16Offset: 16, PerGroup, PerSpan;
}
