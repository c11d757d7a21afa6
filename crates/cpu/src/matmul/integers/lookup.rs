//! Sixteen table look-ups at once: a byte shuffle, which the compiler does not make of an indexed loop.

/// Looks up the low nibbles of `N` bytes, then their high ones: `2 * N` values.
///
/// # Safety
/// The machine has SSSE3 or NEON, if it is one that could have them.
#[inline(always)]
pub(super) unsafe fn nibbles<const N: usize>(table: &[i8; 16], bytes: &[u8], values: &mut [i8]) {
    const { assert!(N == 8 || N == 16, "a half or a whole vector") };
    let (bytes, values) = (&bytes[..N], &mut values[..2 * N]);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the table has sixteen bytes, and the slices the bytes that are read and written.
    unsafe {
        use std::arch::x86_64::*;
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
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        use std::arch::aarch64::*;
        let table = vld1q_s8(table.as_ptr());
        for at in (0..N).step_by(8) {
            let both = vld1_u8(bytes.as_ptr().add(at));
            vst1_s8(values.as_mut_ptr().add(at), vqtbl1_s8(table, vand_u8(both, vdup_n_u8(15))));
            vst1_s8(values.as_mut_ptr().add(N + at), vqtbl1_s8(table, vshr_n_u8::<4>(both)));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    for (i, byte) in bytes.iter().enumerate() {
        values[i] = table[usize::from(byte & 15)];
        values[N + i] = table[usize::from(byte >> 4)];
    }
}
