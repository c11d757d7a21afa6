//! How the results of a tile and a panel leave: rows become lanes.

use super::{Results, TILE_ROWS};
use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::matmul::activation::TOKENS_PER_PANEL;

/// Rows that are turned together.
const BLOCK: usize = TOKENS_PER_PANEL;

/// Writes a panel's results.
///
/// # Safety
/// The machine has the level; nothing else touches the results' rows of these tokens, and a token has a part where
/// `apart` says so.
pub(super) unsafe fn store(isa: Isa, results: Results<'_>) {
    // SAFETY: says the caller.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if isa >= Isa::Avx512 {
            return avx512::store(results);
        }
        dispatch(isa, Store(results));
    }
}

struct Store<'a>(Results<'a>);

impl Kernel for Store<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Results { partial, apart, parts, out, tokens, rows } = self.0;
        let mut turned = [[0f32; BLOCK]; TOKENS_PER_PANEL];
        for first in (0..rows.len()).step_by(BLOCK) {
            let count = (rows.len() - first).min(BLOCK);
            // Rows beyond those in use hold values of an earlier tile, and are not stored.
            const { assert!(TILE_ROWS.is_multiple_of(BLOCK)) };
            let lanes = std::array::from_fn(|row| partial[first + row].as_ptr());
            let columns = turned.each_mut().map(|column| column.as_mut_ptr());
            // SAFETY: blocks divide the rows of a tile; the caller lets this call write `rows` of the tokens.
            unsafe {
                V::transpose(lanes, columns);
                for (lane, token) in tokens.clone().enumerate() {
                    let to = out.row(token).add(rows.start + first);
                    let part = parts.get(lane).filter(|_| apart >> lane & 1 != 0).map(|part| part.as_ptr().add(first));
                    for row in (0..count).step_by(V::LANES) {
                        let mut results = V::load(turned[lane].as_ptr().add(row));
                        if let Some(part) = part {
                            results = results.add(V::load(part.add(row)));
                        }
                        match count - row {
                            rest if rest < V::LANES => results.store_first(to.add(row), rest),
                            _ => results.store(to.add(row)),
                        }
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Results};
    use crate::transpose::transpose;

    /// # Safety
    /// As [`super::store`], on a machine with AVX-512.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) unsafe fn store(results: Results<'_>) {
        let Results { partial, apart, parts, out, tokens, rows } = results;
        for first in (0..rows.len()).step_by(BLOCK) {
            let count = (rows.len() - first).min(BLOCK);
            let present = (1u32 << count).wrapping_sub(1) as u16;
            // Rows beyond those in use hold values of an earlier tile, and are not stored.
            // SAFETY: blocks divide the rows of a tile; a row of the partial results has sixteen floats.
            let mut lanes =
                std::array::from_fn(|row| unsafe { _mm512_loadu_si512(partial[first + row].as_ptr().cast()) });
            transpose(&mut lanes);
            for (lane, (token, results)) in tokens.clone().zip(lanes).enumerate() {
                // SAFETY: the caller lets this call write `rows` of the token, and a token with a part has it.
                unsafe {
                    let mut results = _mm512_castsi512_ps(results);
                    if apart >> lane & 1 != 0 {
                        let part = parts[lane].as_ptr().add(first);
                        results = _mm512_add_ps(results, _mm512_maskz_loadu_ps(present, part));
                    }
                    let to = out.row(token).add(rows.start + first);
                    match count {
                        16 => _mm512_storeu_ps(to, results),
                        _ => _mm512_mask_storeu_ps(to, present, results),
                    }
                }
            }
        }
    }
}
