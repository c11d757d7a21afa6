//! Sixteen table look-ups at once: `vpshufb`, which the compiler does not make of an indexed loop.

use std::arch::x86_64::*;

/// Looks up the low nibbles of `N` bytes, then their high ones: `2 * N` values.
///
/// # Safety
/// The machine has AVX2 (its SSSE3 part).
#[inline(always)]
pub(super) unsafe fn nibbles<const N: usize>(table: &[i8; 16], bytes: &[u8], values: &mut [i8]) {
    const { assert!(N == 8 || N == 16, "a half or a whole vector") };
    let (bytes, values) = (&bytes[..N], &mut values[..2 * N]);
    // SAFETY: the table has sixteen bytes, and the slices the bytes that are read and written.
    unsafe {
        let table = _mm_loadu_si128(table.as_ptr().cast());
        let both =
            if N == 16 { _mm_loadu_si128(bytes.as_ptr().cast()) } else { _mm_loadl_epi64(bytes.as_ptr().cast()) };
        let low = _mm_shuffle_epi8(table, _mm_and_si128(both, _mm_set1_epi8(15)));
        let high = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16::<4>(both), _mm_set1_epi8(15)));
        if N == 16 {
            _mm_storeu_si128(values.as_mut_ptr().cast(), low);
            _mm_storeu_si128(values.as_mut_ptr().add(16).cast(), high);
        } else {
            _mm_storeu_si128(values.as_mut_ptr().cast(), _mm_unpacklo_epi64(low, high));
        }
    }
}
