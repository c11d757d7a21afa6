//! The weights that outliers meet, with AVX-512: bytes are turned, and become F32 where a column is kept.

use std::arch::x86_64::*;

use super::{BLOCK, GROUPS, KeepWeights, SPAN};
use crate::bits::set_bits;
use crate::matmul::activation::Columns;
use crate::transpose::transpose;

/// As [`KeepWeights::keep`].
///
/// # Safety
/// The machine has AVX-512.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn keep(of: KeepWeights<'_>, present: &Columns) {
    // SAFETY: blocks divide the rows and the columns of a tile, and each column that is present has a place.
    unsafe {
        for row in (0..of.rows).step_by(BLOCK) {
            // What rows beyond those in use hold of an earlier tile is never stored.
            let (scales, offsets) = (turned(&of.scales[row..]), turned(&of.offsets[row..]));
            let mut place = 0;
            for first in (0..SPAN).step_by(BLOCK) {
                let cols = present.sixteen(first / BLOCK);
                if cols == 0 {
                    continue;
                }
                let fours = turned_fours(std::array::from_fn(|r| of.values[row + r].as_ptr().add(first)));
                let (scale, offset) = (scales[first / of.group], offsets[first / of.group]);
                for col in set_bits(cols.into()) {
                    // A byte at the top of each lane brings its sign down.
                    let values = _mm512_sllv_epi32(fours[col / 4], _mm512_set1_epi32(24 - 8 * (col % 4) as i32));
                    let values = _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(values));
                    let weights = _mm512_fmadd_ps(values, scale, offset);
                    _mm512_storeu_ps(of.kept.weights[place].as_mut_ptr().add(row), weights);
                    place += 1;
                }
            }
        }
    }
}

/// Of the groups of the first sixteen rows, the rows of each group.
#[inline(always)]
unsafe fn turned(rows: &[[f32; GROUPS]]) -> [__m512; GROUPS] {
    const { assert!(GROUPS == BLOCK, "as many groups as rows are turned") };
    // SAFETY: a row has sixteen numbers; AVX-512 is the caller's.
    unsafe {
        let mut vectors = [_mm512_setzero_si512(); BLOCK];
        for (vector, row) in vectors.iter_mut().zip(&rows[..BLOCK]) {
            *vector = _mm512_loadu_si512(row.as_ptr().cast());
        }
        transpose(&mut vectors);
        let mut groups = [_mm512_setzero_ps(); GROUPS];
        for (group, vector) in groups.iter_mut().zip(vectors) {
            *group = _mm512_castsi512_ps(vector);
        }
        groups
    }
}

/// Of sixteen rows of sixteen bytes, the rows of each four columns.
#[inline(always)]
unsafe fn turned_fours(rows: [*const i8; BLOCK]) -> [__m512i; BLOCK / 4] {
    // SAFETY: each pointer has sixteen bytes; AVX-512 is the caller's.
    unsafe {
        let row = |row: usize| _mm_loadu_si128(rows[row].cast());
        let mut fours = [_mm512_setzero_si512(); 4];
        for (i, four) in fours.iter_mut().enumerate() {
            let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(row(i)), row(4 + i));
            let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(row(8 + i)), row(12 + i));
            *four = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        }
        let (a, b) = (_mm512_unpacklo_epi32(fours[0], fours[1]), _mm512_unpackhi_epi32(fours[0], fours[1]));
        let (c, d) = (_mm512_unpacklo_epi32(fours[2], fours[3]), _mm512_unpackhi_epi32(fours[2], fours[3]));
        [
            _mm512_unpacklo_epi64(a, c),
            _mm512_unpackhi_epi64(a, c),
            _mm512_unpacklo_epi64(b, d),
            _mm512_unpackhi_epi64(b, d),
        ]
    }
}
