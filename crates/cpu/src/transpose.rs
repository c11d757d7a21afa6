//! A 16 by 16 matrix of 32-bit lanes, turned over its diagonal: between rows of elements and rows of tokens.

use std::arch::x86_64::*;

/// Lane `j` of vector `i` becomes lane `i` of vector `j`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn transpose(m: &mut [__m512i; 16]) {
    let mut t = *m;
    // Pairs, then fours within 128-bit lanes.
    for i in (0..16).step_by(2) {
        t[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
    }
    for i in (0..16).step_by(4) {
        m[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        m[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        m[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        m[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    // m[4 * q + c] holds, in 128-bit lane l, column 4 * l + c of rows 4 * q to 4 * q + 3: now move the lanes.
    for c in 0..4 {
        let (a, b, e, f) = (m[c], m[4 + c], m[8 + c], m[12 + c]);
        t[c] = _mm512_shuffle_i32x4::<0x88>(a, b); // a0 a2 b0 b2
        t[4 + c] = _mm512_shuffle_i32x4::<0xdd>(a, b); // a1 a3 b1 b3
        t[8 + c] = _mm512_shuffle_i32x4::<0x88>(e, f);
        t[12 + c] = _mm512_shuffle_i32x4::<0xdd>(e, f);
    }
    for c in 0..4 {
        m[c] = _mm512_shuffle_i32x4::<0x88>(t[c], t[8 + c]); // a0 b0 e0 f0
        m[4 + c] = _mm512_shuffle_i32x4::<0x88>(t[4 + c], t[12 + c]); // a1 b1 e1 f1
        m[8 + c] = _mm512_shuffle_i32x4::<0xdd>(t[c], t[8 + c]); // a2 b2 e2 f2
        m[12 + c] = _mm512_shuffle_i32x4::<0xdd>(t[4 + c], t[12 + c]);
    }
}

/// The largest lane of each of sixteen vectors of signed numbers, in order.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn largest_lanes(m: &[__m512i; 16]) -> __m512i {
    let pairs = |a, b| _mm512_max_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let fours = |a, b| _mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let lanes = |a, b| _mm512_max_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
    let four = |i: usize| fours(pairs(m[i], m[i + 1]), pairs(m[i + 2], m[i + 3]));
    lanes(lanes(four(0), four(4)), lanes(four(8), four(12)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn rows_become_columns_and_the_largest_of_each_row_is_found() {
        if !Isa::Avx512.is_available() {
            return;
        }
        let matrix: [[i32; 16]; 16] =
            std::array::from_fn(|i| std::array::from_fn(|j| ((i * 16 + j) * 89 % 256) as i32));
        let (mut turned, mut largest) = ([[0i32; 16]; 16], [0i32; 16]);
        // SAFETY: the machine has AVX-512; vectors and arrays of sixteen numbers have the same size.
        unsafe {
            let mut m = [_mm512_setzero_si512(); 16];
            for (vector, row) in m.iter_mut().zip(&matrix) {
                *vector = _mm512_loadu_si512(row.as_ptr().cast());
            }
            _mm512_storeu_si512(largest.as_mut_ptr().cast(), largest_lanes(&m));
            transpose(&mut m);
            for (vector, row) in m.into_iter().zip(&mut turned) {
                _mm512_storeu_si512(row.as_mut_ptr().cast(), vector);
            }
        }
        for i in 0..16 {
            assert_eq!(largest[i], *matrix[i].iter().max().expect("sixteen"), "row {i}");
            for j in 0..16 {
                assert_eq!(turned[j][i], matrix[i][j], "row {i}, column {j}");
            }
        }
    }
}
