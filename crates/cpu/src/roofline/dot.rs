//! Dot products of bytes, as fast as they go: independent chains in registers, nothing loaded.

use std::hint::black_box;

use crate::isa::Isa;

/// Chains: a dot product's result is there after five cycles, and two begin in each.
const CHAINS: usize = 12;
/// Rounds of all chains: some tens of milliseconds with vectors.
const ROUNDS: usize = 4_000_000;
/// Rounds without vectors.
const SCALAR_ROUNDS: usize = 40_000;
/// Bytes of the pair of arrays multiplied in a round without vectors.
const SCALAR_BYTES: usize = 256;

/// Operations of one run.
pub(super) fn operations(isa: Isa) -> usize {
    let products = match isa {
        Isa::Scalar => SCALAR_ROUNDS * SCALAR_BYTES,
        Isa::Avx2 => ROUNDS * CHAINS * 32,
        Isa::Avx512 | Isa::Avx512Vnni => ROUNDS * CHAINS * 64,
    };
    2 * products
}

/// One run.
pub(super) fn run(isa: Isa) {
    match isa {
        Isa::Scalar => scalar(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: levels are checked against the machine where they are made.
        Isa::Avx2 => unsafe { x86::avx2() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { x86::avx512() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512Vnni => unsafe { x86::avx512_vnni() },
        #[cfg(not(target_arch = "x86_64"))]
        _ => scalar(),
    }
}

fn scalar() {
    let bytes: [[i8; SCALAR_BYTES]; 2] = std::array::from_fn(|array| std::array::from_fn(|n| (n * 7 + array) as i8));
    let mut sum = 0i32;
    for _ in 0..SCALAR_ROUNDS {
        let [left, right] = black_box(&bytes);
        sum = sum.wrapping_add(left.iter().zip(right).map(|(&l, &r)| i32::from(l) * i32::from(r)).sum());
    }
    black_box(sum);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::{CHAINS, ROUNDS};

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2() {
        let ones = _mm256_set1_epi16(1);
        let (mut left, right) = (_mm256_set1_epi8(3), _mm256_set1_epi8(black_box(5)));
        let mut sums = [_mm256_setzero_si256(); CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                // SAFETY: no instruction at all; it keeps the compiler from computing the product only once.
                unsafe { asm!("/* {} */", inout(ymm_reg) left, options(nomem, nostack, preserves_flags)) };
                let pairs = _mm256_maddubs_epi16(left, right);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn avx512() {
        let ones = _mm512_set1_epi16(1);
        let (mut left, right) = (_mm512_set1_epi8(3), _mm512_set1_epi8(black_box(5)));
        let mut sums = [_mm512_setzero_si512(); CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                // SAFETY: as in `avx2`.
                unsafe { asm!("/* {} */", inout(zmm_reg) left, options(nomem, nostack, preserves_flags)) };
                let pairs = _mm512_maddubs_epi16(left, right);
                *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(pairs, ones));
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn avx512_vnni() {
        let (mut left, right) = (_mm512_set1_epi8(3), _mm512_set1_epi8(black_box(5)));
        let mut sums = [_mm512_setzero_si512(); CHAINS];
        for _ in 0..ROUNDS {
            // SAFETY: as in `avx2`.
            unsafe { asm!("/* {} */", inout(zmm_reg) left, options(nomem, nostack, preserves_flags)) };
            sums.iter_mut().for_each(|sum| *sum = _mm512_dpbusd_epi32(*sum, left, right));
        }
        black_box(sums);
    }
}
