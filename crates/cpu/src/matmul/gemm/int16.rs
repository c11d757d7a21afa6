//! Tiles of half-precision weights: 16-bit integers with a scale per 128 columns.
//!
//! VNNI multiplies two pairs of 16 bits a lane, twice what F32 arithmetic does. Weights and activations keep 12 bits
//! of their group's largest and a sign, so that a group's sum fits 32 bits: about what BF16 keeps of every number.

#[cfg(target_arch = "x86_64")]
mod avx512;

use std::ops::Range;

use super::store::store;
use super::tiles::{self, Extent, Partial, Results, TILE_ROWS, Tiled, Weights};
use super::{SPAN, Task};
use crate::isa::Isa;
use crate::matmul::activation::{GROUP16 as GROUP, Int16Layout};
use crate::matmul::exact::PlainType;

/// The product of half-precision tiles with panels, for one level.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct HalfGemm {
    decode: DecodeTile,
    multiply: MultiplyTile,
    /// Whether products are summed by Winograd's way, as of eight bits: `super::avx512::inner_product` has the formula.
    pub winograd: bool,
}

/// A decoded tile: `TILE_ROWS` rows of up to 256 columns; what pads the last group of a row is zero.
#[repr(C, align(64))]
pub(super) struct Tile {
    values: [[i16; SPAN]; TILE_ROWS],
    scales: [[f32; SPAN / GROUP]; TILE_ROWS],
    /// What integer sums start from, of Winograd's inner products.
    starts: [[i32; SPAN / GROUP]; TILE_ROWS],
}

/// Brings weights to integers, in the first rows of a tile: no more than it has, of at most [`SPAN`] columns.
type DecodeTile = unsafe fn(weights: Weights<'_>, tile: &mut Tile);
/// As [`Tiled::multiply`].
type MultiplyTile = unsafe fn(tile: &Tile, extent: Extent<'_, Int16Layout>, partial: *mut Partial);

impl HalfGemm {
    pub const SCRATCH_BYTES: usize = tiles::scratch_bytes::<Tile>();

    /// The kernels for F16 or BF16, where the level has them.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn new(weight: PlainType, isa: Isa) -> Option<HalfGemm> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => HalfGemm::avx512::<false>(weight),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Zen4 => HalfGemm::avx512::<true>(weight),
            _ => None,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn avx512<const WINOGRAD: bool>(weight: PlainType) -> Option<HalfGemm> {
        let decode = match weight {
            PlainType::F16 => avx512::decode::<avx512::F16, WINOGRAD>,
            PlainType::Bf16 => avx512::decode::<avx512::Bf16, WINOGRAD>,
            PlainType::F32 => return None,
        };
        let multiply = avx512::multiply::<WINOGRAD>;
        Some(HalfGemm { decode, multiply, winograd: WINOGRAD })
    }

    /// # Safety
    /// As [`super::super::MatmulKernel::run`]; the activations are panels, `scratch` is 64-byte aligned and has
    /// `SCRATCH_BYTES`.
    pub unsafe fn run(&self, task: Task<'_, Int16Layout>, rows: Range<usize>, scratch: *mut u8) {
        // SAFETY: the caller vouches for the operands; the kernels were made for this machine's level.
        unsafe { tiles::run(self, task, rows, scratch) }
    }
}

impl Tiled for HalfGemm {
    type Tile = Tile;
    type Layout = Int16Layout;

    unsafe fn decode(&self, task: &Task<'_, Int16Layout>, rows: Range<usize>, cols: Range<usize>, tile: &mut Tile) {
        let weights = Weights::new(task, rows, cols, |cols| cols * size_of::<u16>());
        // SAFETY: the function was made for this machine's level.
        unsafe { (self.decode)(weights, tile) };
    }

    unsafe fn multiply(&self, tile: &mut Tile, extent: Extent<'_, Int16Layout>, partial: *mut Partial) {
        // SAFETY: the caller vouches for the operands; the function was made for this machine's level.
        unsafe { (self.multiply)(tile, extent, partial) }
    }

    unsafe fn store(&self, _: &Tile, _: usize, results: Results<'_>) {
        // SAFETY: as above.
        unsafe { store(Isa::Avx512, results) }
    }
}
