//! Lattices: which point stands for `D` magnitudes that are not on the lattice themselves.
//!
//! A *code* packs the levels of `D` elements, lowest first: level `l` is the magnitude `2 l + 1` in steps of the search, in
//! IQ1 the value `l - 1`.
//! The formats of the IQ family only have some of the codes, their points. For every other code [`Lattice`] knows the
//! points nearest to it, from which [`Lattice::nearest`] takes the one with the least weighted error. Source: llama.cpp,
//! `iq2xs_init_impl`, `iq3xs_init_impl`.

use std::sync::LazyLock;

use crate::levels::Available;
use crate::search::nearest::{LANES, Target, nearest};
use crate::tables::{IQ1_GRID, IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID};

/// The points of a format, and for every code the points near it. `D` elements of `BITS` bits to a code.
pub(crate) struct Lattice<const D: usize, const BITS: usize> {
    /// For each code the index of its point, or [`NO_POINT`].
    points: Vec<u16>,
    /// The code of each point.
    codes: Vec<u16>,
    /// Where the codes of the points near a code lie in `neighbours`.
    near: Vec<(u32, u32)>,
    /// Codes of points, nearest first; each run is filled up with its last to whole [`LANES`].
    neighbours: Vec<u16>,
}

const NO_POINT: u16 = u16::MAX;

/// IQ1_S and IQ1_M: the levels are -1, 0 and 1.
pub(crate) static IQ1: LazyLock<Lattice<8, 2>> = LazyLock::new(|| Lattice::of_eight(&IQ1_GRID, &[255, 0, 1], 3));
/// IQ2_XXS.
pub(crate) static IQ2_XXS: LazyLock<Lattice<8, 2>> =
    LazyLock::new(|| Lattice::of_eight(&IQ2_XXS_GRID, &[8, 25, 43], 2));
/// IQ2_XS.
pub(crate) static IQ2_XS: LazyLock<Lattice<8, 2>> = LazyLock::new(|| Lattice::of_eight(&IQ2_XS_GRID, &[8, 25, 43], 2));
/// IQ2_S.
pub(crate) static IQ2_S: LazyLock<Lattice<8, 2>> = LazyLock::new(|| Lattice::of_eight(&IQ2_S_GRID, &[8, 25, 43], 1));
/// IQ3_XXS.
pub(crate) static IQ3_XXS: LazyLock<Lattice<4, 3>> =
    LazyLock::new(|| Lattice::of_four(&IQ3_XXS_GRID, &[4, 12, 20, 28, 36, 44, 52, 62], 2));
/// IQ3_S.
pub(crate) static IQ3_S: LazyLock<Lattice<4, 3>> =
    LazyLock::new(|| Lattice::of_four(&IQ3_S_GRID, &[1, 3, 5, 7, 9, 11, 13, 15], 3));

impl Lattice<8, 2> {
    fn of_eight(grid: &[u64], levels: &[u8], distances: usize) -> Self {
        let points: Vec<[u8; 8]> = grid.iter().map(|point| point.to_le_bytes()).collect();
        Lattice::new(&points, levels, distances)
    }
}

impl Lattice<4, 3> {
    fn of_four(grid: &[u32], levels: &[u8], distances: usize) -> Self {
        let points: Vec<[u8; 4]> = grid.iter().map(|point| point.to_le_bytes()).collect();
        Lattice::new(&points, levels, distances)
    }
}

impl<const D: usize, const BITS: usize> Lattice<D, BITS> {
    /// `levels` are the bytes of the grid from the lowest level on; a code's neighbours are the points at the so many
    /// smallest `distances`.
    fn new(grid: &[[u8; D]], levels: &[u8], distances: usize) -> Self {
        let level_of = |byte: u8| levels.iter().position(|&level| level == byte).unwrap_or(0) as u8;
        let grid: Vec<[u8; D]> = grid.iter().map(|point| point.map(level_of)).collect();
        let pack = |point: &[u8; D]| point.iter().rev().fold(0u16, |code, &level| code << BITS | u16::from(level));
        let codes: Vec<u16> = grid.iter().map(pack).collect();
        let size = 1 << (D * BITS);
        let mut points = vec![NO_POINT; size];
        for (index, &code) in codes.iter().enumerate() {
            points[usize::from(code)] = index as u16;
        }
        let mut near = vec![(0, 0); size];
        let mut neighbours: Vec<u16> = Vec::new();
        let mut from = vec![0u32; grid.len()];
        for code in 0..size {
            let place: [u8; D] = std::array::from_fn(|i| (code >> (BITS * i) & ((1 << BITS) - 1)) as u8);
            if points[code] != NO_POINT || place.iter().any(|&level| usize::from(level) >= levels.len()) {
                continue;
            }
            for (from, point) in from.iter_mut().zip(&grid) {
                *from = point.iter().zip(&place).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum();
            }
            let start = neighbours.len();
            let mut beyond = None;
            for _ in 0..distances {
                let next = from.iter().copied().filter(|&distance| beyond.is_none_or(|last| distance > last)).min();
                let Some(next) = next else { break };
                neighbours.extend(from.iter().zip(&codes).filter(|(from, _)| **from == next).map(|(_, &code)| code));
                beyond = Some(next);
            }
            let last = neighbours.last().copied().unwrap_or(0);
            neighbours.resize(start + (neighbours.len() - start).next_multiple_of(LANES), last);
            near[code] = (start as u32, neighbours.len() as u32);
        }
        Lattice { points, codes, near, neighbours }
    }

    /// The index of the point with this code, which is one.
    #[inline(always)]
    pub(crate) fn index(&self, code: u16) -> usize {
        usize::from(self.points[usize::from(code)])
    }

    /// The code of a point.
    #[inline(always)]
    pub(crate) fn code(&self, index: usize) -> u16 {
        self.codes[index]
    }

    /// Whether a code is that of a point.
    #[inline(always)]
    pub(crate) fn has(&self, code: u16) -> bool {
        self.points[usize::from(code)] != NO_POINT
    }

    /// The code of the point near `code`, itself no point, with the least error for what it is to stand for.
    #[inline(always)]
    pub(crate) fn nearest(&self, available: Available, code: u16, target: &Target<'_, D>) -> u16 {
        let (start, end) = self.near[usize::from(code)];
        let near = self.neighbours[start as usize..end as usize].as_chunks::<LANES>().0;
        nearest::<D, BITS>(available, near, target).unwrap_or(code)
    }
}
