//! Unsigned by signed bytes on x86: products are added by pairs in 16 bits.
//!
//! Types of at most seven bits become unsigned, with their zero taken off through the activations' sums, and as many
//! pairs are added in 16 bits as cannot overflow. Wider types pay for a change of signs; with AVX-512, which has no
//! instruction for that, `matmul::wide` takes them.

mod sub_scaled;

use std::arch::x86_64::*;

use ascua_gguf::TensorType;

use super::frame::{self, Framed, Multiply, Pairs, UnsignedKinds};
use super::{Gemm, IntegerFormat, Panels, decode};
use crate::lanes;
use crate::matmul::bytes16::Body;

/// The kernels of a type of at most seven bits, `R` rows by `H` vectors of tokens.
pub(super) fn gemm<K: UnsignedKinds, const R: usize, const H: usize>(
    weight: TensorType,
    format: IntegerFormat,
) -> Option<Gemm> {
    sub_scaled::gemm::<K, R, H>(weight).or_else(|| {
        let multiply = frame::unsigned::<K, R, H>(format)?;
        Some(Gemm { decode: frame::decode_unsigned::<K::SevenBits>, multiply, panels: Panels::Signed })
    })
}

/// The kernels of any type.
pub(super) fn gemm_of_all<K: AllKinds, const R: usize, const H: usize>(
    weight: TensorType,
    format: IntegerFormat,
) -> Option<Gemm> {
    gemm::<K, R, H>(weight, format).or_else(|| sub_scaled::signed::<K::Signed, R, H>(weight)).or_else(|| {
        let multiply = frame::signed::<Framed<K::Signed, R, H>>(format)?;
        Some(Gemm { decode, multiply, panels: Panels::Signed })
    })
}

/// The kinds of weights of a level that also multiplies bytes with a sign.
pub(super) trait AllKinds: UnsignedKinds {
    type Signed: Pairs;
}

macro_rules! pairs {
    (
        $module:ident: $doc:literal, $features:literal, $vector:ty, $floats:ty,
        $load:ident, $splat:ident, $zero:ident, $add16:ident, $add32:ident, $pairs:ident, $join:ident, $convert:ident,
        $lanes:path $(, |$w:ident, $x:ident| $signed:expr)?
    ) => {
        #[doc = $doc]
        pub(super) mod $module {
            use super::*;

            /// Kinds of weights.
            pub(in super::super) struct Kinds;
            /// Unsigned weights of which `STEPS` steps fit.
            pub(in super::super) struct Few<const STEPS: usize>;

            impl UnsignedKinds for Kinds {
                type FourBits = Few<8>;
                type FiveBits = Few<4>;
                type SixBits = Few<2>;
                type SevenBits = Few<1>;
            }

            #[target_feature(enable = $features)]
            unsafe fn enter<B: Body>(body: B) {
                // SAFETY: the caller vouches for the machine and the body.
                unsafe { body.run() }
            }

            // SAFETY of every block below: the machine has the level, as the trait's callers promise.
            pairs!(@multiply $vector, $floats, $load, $splat, $zero, $add16, $add32, $join, $convert, $lanes;
                [const STEPS: usize] Few<STEPS>, STEPS, |w, x| $pairs(w, x));
            $(
                /// Weights with a sign.
                pub(in super::super) struct Signed;

                impl AllKinds for Kinds {
                    type Signed = Signed;
                }

                pairs!(@multiply $vector, $floats, $load, $splat, $zero, $add16, $add32, $join, $convert, $lanes;
                    [] Signed, 1, |$w, $x| $signed);
            )?
        }
    };
    (
        @multiply $vector:ty, $floats:ty, $load:ident, $splat:ident, $zero:ident, $add16:ident, $add32:ident,
        $join:ident, $convert:ident, $lanes:path;
        [$($generic:tt)*] $kind:ty, $steps:expr, |$w:ident, $x:ident| $pairs:expr
    ) => {
        impl<$($generic)*> Multiply for $kind {
            type Bytes = $vector;
            type Ints = $vector;
            type Floats = $floats;
            type Partial = $vector;
            const STEPS: usize = $steps;

            #[inline(always)]
            unsafe fn enter<B: Body>(body: B) {
                // SAFETY: as above.
                unsafe { enter(body) }
            }

            #[inline(always)]
            unsafe fn load(from: *const u8) -> $vector {
                // SAFETY: as above.
                unsafe { $load(from.cast()) }
            }

            #[inline(always)]
            unsafe fn broadcast(four: i32) -> $vector {
                // SAFETY: as above.
                unsafe { $splat(four) }
            }

            #[inline(always)]
            unsafe fn start(value: i32) -> $vector {
                // SAFETY: as above.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn open(_: $vector) -> $vector {
                // SAFETY: as above.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn step(partial: $vector, $w: $vector, $x: $vector) -> $vector {
                // SAFETY: as above.
                unsafe { $add16(partial, $pairs) }
            }

            #[inline(always)]
            unsafe fn close(sums: $vector, partial: $vector) -> $vector {
                // SAFETY: as above.
                unsafe { $add32(sums, $join(partial, $splat(0x0001_0001))) }
            }

            #[inline(always)]
            unsafe fn floats(sums: $vector) -> $floats {
                // SAFETY: as above.
                $lanes(unsafe { $convert(sums) })
            }
        }

        impl<$($generic)*> Pairs for $kind {
            #[inline(always)]
            unsafe fn load_pairs(from: *const i16) -> $vector {
                // SAFETY: as above.
                unsafe { $load(from.cast()) }
            }

            #[inline(always)]
            unsafe fn factors(both: i32) -> $vector {
                // SAFETY: as above.
                unsafe { $splat(both) }
            }

            #[inline(always)]
            unsafe fn add_scaled(sums: $vector, pairs: $vector, factors: $vector) -> $vector {
                // SAFETY: as above.
                unsafe { $add32(sums, $join(pairs, factors)) }
            }
        }
    };
}

pairs! {
    sse41: "Four tokens, with SSE4.1 and SSSE3.", "sse4.1,ssse3", __m128i, lanes::Sse41,
    _mm_loadu_si128, _mm_set1_epi32, _mm_setzero_si128, _mm_add_epi16, _mm_add_epi32, _mm_maddubs_epi16,
    _mm_madd_epi16, _mm_cvtepi32_ps, lanes::Sse41,
    |w, x| _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(x, w))
}

pairs! {
    avx2: "Eight tokens, with AVX2.", "avx2,fma,f16c", __m256i, lanes::Avx2,
    _mm256_loadu_si256, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_maddubs_epi16, _mm256_madd_epi16, _mm256_cvtepi32_ps, lanes::Avx2,
    |w, x| _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
}

pairs! {
    avx512: "Sixteen tokens, with AVX-512.", "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl", __m512i, lanes::Avx512,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_add_epi16, _mm512_add_epi32,
    _mm512_maddubs_epi16, _mm512_madd_epi16, _mm512_cvtepi32_ps, lanes::Avx512
}
