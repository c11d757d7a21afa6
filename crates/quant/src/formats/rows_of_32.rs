//! Encoding of rows whose blocks are 32 elements: eight blocks at a time, so that each has a lane.
//!
//! Here too what Q4_0, Q4_1, Q5_0 and Q5_1 share with importance: without, they need no search. Source: llama.cpp,
//! `quantize_row_q4_0_impl` and its three relatives.

use crate::block_format::Row;
use crate::lanes::{Lanes, transpose};
use crate::search::affine::AffineSearch;
use crate::search::{signed, weights};

/// Blocks encoded at a time.
pub(crate) const LANES: usize = 8;

/// The values of eight blocks, element by element.
pub(crate) type Eight = [Lanes<LANES>; 32];

/// The values of blocks `8 * i` and following, and their importance. What is missing at the end of a row is zero.
#[inline(always)]
pub(crate) fn eight(row: Row<'_, [f32; 32]>, i: usize) -> (Eight, Option<Eight>) {
    (eight_of(row.values, i), row.importance.map(|importance| eight_of(importance, i)))
}

#[inline(always)]
fn eight_of(all: &[[f32; 32]], i: usize) -> Eight {
    let rest = &all[LANES * i..];
    let there = rest.len().min(LANES);
    let mut values = [[0.0; 32]; LANES];
    values[..there].copy_from_slice(&rest[..there]);
    transpose::<LANES, 32>(values.as_flattened())
}

/// Where there is importance, encodes the row with signed codes of `2 * half` steps; says whether it did. `block` takes
/// the scale, and the codes offset by `half`.
#[inline(always)]
pub(crate) fn encode_signed<B: Copy>(
    row: Row<'_, [f32; 32]>,
    out: &mut [B],
    half: f32,
    block: impl Fn(f32, [u8; 32]) -> B,
) -> bool {
    if row.importance.is_none() {
        return false;
    }
    let usual = usual_square(row.values);
    for (i, out) in out.chunks_mut(LANES).enumerate() {
        let (x, importance) = eight(row, i);
        let found = signed::find(&x, &weights_of(&x, importance, usual), half);
        let codes = x.map(|x| found.quants(x));
        for (lane, out) in out.iter_mut().enumerate() {
            *out = block(found.scale.0[lane], codes.map(|code| code.0[lane] as u8));
        }
    }
    true
}

/// As [`encode_signed`], with codes from 0 to `largest`; `block` takes the scale, the minimum to be added, and the codes.
#[inline(always)]
pub(crate) fn encode_affine<B: Copy>(
    row: Row<'_, [f32; 32]>,
    out: &mut [B],
    largest: f32,
    block: impl Fn(f32, f32, [u8; 32]) -> B,
) -> bool {
    if row.importance.is_none() {
        return false;
    }
    let usual = usual_square(row.values);
    for (i, out) in out.chunks_mut(LANES).enumerate() {
        let (x, importance) = eight(row, i);
        let search = AffineSearch { largest, ..AffineSearch::WITH_IMPORTANCE };
        let found = search.find(&x, &weights_of(&x, importance, usual));
        let codes = x.map(|x| found.quants(x, largest));
        for (lane, out) in out.iter_mut().enumerate() {
            *out = block(found.scale.0[lane], -found.minimum.0[lane], codes.map(|code| code.0[lane] as u8));
        }
    }
    true
}

/// The mean square of the row.
#[inline(always)]
fn usual_square(values: &[[f32; 32]]) -> f32 {
    let values = values.as_flattened();
    weights::sum_of_squares(values) / values.len() as f32
}

#[inline(always)]
fn weights_of(x: &Eight, importance: Option<Eight>, usual: f32) -> Eight {
    match importance {
        Some(importance) => weights::with_importance(x, &importance, Lanes::splat(usual)),
        None => weights::squares(x),
    }
}
