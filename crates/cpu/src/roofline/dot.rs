//! Dot products of bytes, as fast as they go: independent chains in registers, nothing loaded.

use std::hint::black_box;

use crate::isa::Isa;

/// Chains: a dot product's result is there after five cycles, and two begin in each.
const CHAINS: usize = 12;
/// Rounds of all chains: some tens of milliseconds with vectors.
const ROUNDS: usize = if cfg!(test) { 10_000 } else { 4_000_000 };
/// Rounds without vectors.
const SCALAR_ROUNDS: usize = 40_000;
/// Bytes of the pair of arrays multiplied in a round without vectors.
const SCALAR_BYTES: usize = 256;

/// Operations of one run.
pub(super) fn operations(isa: Isa) -> usize {
    let products = match isa {
        Isa::Scalar => SCALAR_ROUNDS * SCALAR_BYTES,
        Isa::Sse41 | Isa::Neon | Isa::DotProd => ROUNDS * CHAINS * 16,
        Isa::Avx2 | Isa::AvxVnni | Isa::I8mm => ROUNDS * CHAINS * 32,
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Zen4 => ROUNDS * CHAINS * 64,
    };
    2 * products
}

/// One run.
pub(super) fn run(isa: Isa) {
    // SAFETY of all: levels are checked against the machine where they are made.
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Sse41 => unsafe { x86::sse41() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { x86::avx2() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::AvxVnni => unsafe { x86::avx_vnni() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512 => unsafe { x86::avx512() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx512Vnni | Isa::Avx512Zen4 => unsafe { x86::avx512_vnni() },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Isa::Neon => unsafe { arm::neon() },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Isa::DotProd => unsafe { arm::dotprod() },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Isa::I8mm => unsafe { arm::i8mm() },
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

    #[target_feature(enable = "sse4.1,ssse3")]
    pub(super) fn sse41() {
        let ones = _mm_set1_epi16(1);
        let (mut left, right) = (_mm_set1_epi8(3), _mm_set1_epi8(black_box(5)));
        let mut sums = [_mm_setzero_si128(); CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                // SAFETY: as in `avx2`.
                unsafe { asm!("/* {} */", inout(xmm_reg) left, options(nomem, nostack, preserves_flags)) };
                let pairs = _mm_maddubs_epi16(left, right);
                *sum = _mm_add_epi32(*sum, _mm_madd_epi16(pairs, ones));
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,avxvnni")]
    pub(super) fn avx_vnni() {
        let (mut left, right) = (_mm256_set1_epi8(3), _mm256_set1_epi8(black_box(5)));
        let mut sums = [_mm256_setzero_si256(); CHAINS];
        for _ in 0..ROUNDS {
            // SAFETY: as in `avx2`.
            unsafe { asm!("/* {} */", inout(ymm_reg) left, options(nomem, nostack, preserves_flags)) };
            sums.iter_mut().for_each(|sum| *sum = _mm256_dpbusd_avx_epi32(*sum, left, right));
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

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;
    use std::arch::asm;
    use std::hint::black_box;

    use super::{CHAINS, ROUNDS};

    macro_rules! chains {
        ($(#[$feature:meta])* $name:ident, $instruction:literal) => {
            $(#[$feature])*
            pub(super) unsafe fn $name() {
                // SAFETY: instructions on registers, which the caller's machine has.
                unsafe {
                    let (left, right) = (vdupq_n_s8(3), vdupq_n_s8(black_box(5)));
                    let mut sums = [vdupq_n_s32(0); CHAINS];
                    for _ in 0..ROUNDS {
                        for sum in &mut sums {
                            asm!($instruction, sum = inout(vreg) *sum, left = in(vreg) left, right = in(vreg) right,
                                out("v31") _, options(nomem, nostack, preserves_flags));
                        }
                    }
                    black_box(sums);
                }
            }
        };
    }

    chains!(
        neon,
        "smull v31.8h, {left:v}.8b, {right:v}.8b\nsmlal2 v31.8h, {left:v}.16b, {right:v}.16b\nsadalp {sum:v}.4s, v31.8h"
    );
    chains!(
        #[target_feature(enable = "neon,dotprod")]
        dotprod,
        "sdot {sum:v}.4s, {left:v}.16b, {right:v}.16b"
    );
    chains!(
        #[target_feature(enable = "neon,i8mm")]
        i8mm,
        "smmla {sum:v}.4s, {left:v}.16b, {right:v}.16b"
    );
}
