//! The point with the least error among those near a code, sixteen compared side by side.
//!
//! The error of a point is the sum of its elements' errors, and an element has few levels: the vector kernels compute
//! its error at each of them once and then look it up by the bits of the code. The sums are those of the plain loop, in
//! its order.

use crate::levels::Available;

/// Points compared side by side.
pub(crate) const LANES: usize = 16;

/// What a point is to stand for: an element of level `l` becomes `scale * (first + step * l)`.
pub(crate) struct Target<'a, const D: usize> {
    pub x: &'a [f32; D],
    pub weights: &'a [f32; D],
    pub scale: f32,
    pub first: f32,
    pub step: f32,
}

/// What a kernel found.
struct Best {
    /// A bit for each lane that has the least error of all.
    lanes: u32,
    /// For each lane the first run with its least error.
    run: [i32; LANES],
}

/// The first of the codes with the least error; `None` where there are no codes. A code packs `D` levels of `BITS` bits,
/// lowest first.
#[inline(always)]
pub(crate) fn nearest<const D: usize, const BITS: usize>(
    available: Available,
    near: &[[u16; LANES]],
    target: &Target<'_, D>,
) -> Option<u16> {
    let Best { mut lanes, run } = match available {
        // SAFETY: the machine has the instructions, which is what `available` stands for.
        #[cfg(target_arch = "x86_64")]
        Available::Avx512(_) => unsafe { x86::best_avx512::<D, BITS>(near, target) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Available::Avx2(_) => unsafe { x86::best_avx2::<D, BITS>(near, target) },
        Available::Plain => best::<D, BITS>(near, target),
    };
    // The first of equally good ones, as if they had been compared in order. Nearly always there is one.
    let mut at = lanes.trailing_zeros() as usize % LANES;
    loop {
        lanes &= lanes.wrapping_sub(1);
        if lanes == 0 {
            break;
        }
        let lane = lanes.trailing_zeros() as usize % LANES;
        at = if run[lane] < run[at] { lane } else { at };
    }
    near.get(run[at] as usize).map(|codes| codes[at])
}

fn best<const D: usize, const BITS: usize>(near: &[[u16; LANES]], target: &Target<'_, D>) -> Best {
    let (mut least, mut best) = ([f32::MAX; LANES], [0; LANES]);
    for (run, codes) in near.iter().enumerate() {
        let codes = codes.map(i32::from);
        let mut error = [0.0; LANES];
        for i in 0..D {
            for lane in 0..LANES {
                let level = codes[lane] >> (BITS * i) & ((1 << BITS) - 1);
                let difference = target.scale * (target.first + target.step * level as f32) - target.x[i];
                error[lane] += target.weights[i] * difference * difference;
            }
        }
        for (lane, error) in error.into_iter().enumerate() {
            let better = error < least[lane];
            least[lane] = if better { error } else { least[lane] };
            best[lane] = if better { run as i32 } else { best[lane] };
        }
    }
    let of_all = least.into_iter().fold(f32::MAX, f32::min);
    let lanes = least.iter().rev().fold(0, |lanes, &least| lanes << 1 | u32::from(least == of_all));
    Best { lanes, run: best }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use bytemuck::cast;

    use super::{Best, LANES, Target};

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn best_avx512<const D: usize, const BITS: usize>(
        near: &[[u16; LANES]],
        target: &Target<'_, D>,
    ) -> Best {
        // The look-up has four bits of an index: beside those of the level some of the next, which must not matter.
        let levels = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let levels = _mm512_cvtepi32_ps(_mm512_and_si512(levels, _mm512_set1_epi32((1 << BITS) - 1)));
        let values = _mm512_add_ps(_mm512_set1_ps(target.first), _mm512_mul_ps(_mm512_set1_ps(target.step), levels));
        let values = _mm512_mul_ps(_mm512_set1_ps(target.scale), values);
        let mut errors = [_mm512_setzero_ps(); D];
        for (i, errors) in errors.iter_mut().enumerate() {
            let difference = _mm512_sub_ps(values, _mm512_set1_ps(target.x[i]));
            let weighted = _mm512_mul_ps(_mm512_set1_ps(target.weights[i]), difference);
            *errors = _mm512_mul_ps(weighted, difference);
        }
        let (mut least, mut best) = (_mm512_set1_ps(f32::MAX), _mm512_setzero_si512());
        for (run, &codes) in near.iter().enumerate() {
            let mut codes = _mm512_cvtepu16_epi32(cast(codes));
            let mut error = _mm512_setzero_ps();
            for &errors in &errors {
                error = _mm512_add_ps(error, _mm512_permutexvar_ps(codes, errors));
                codes = _mm512_srl_epi32(codes, _mm_cvtsi32_si128(BITS as i32));
            }
            let better = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(error, least);
            least = _mm512_mask_mov_ps(least, better, error);
            best = _mm512_mask_mov_epi32(best, better, _mm512_set1_epi32(run as i32));
        }
        let of_all = _mm512_set1_ps(_mm512_reduce_min_ps(least));
        let lanes = u32::from(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(least, of_all));
        let run = [_mm512_castsi512_si256(best), _mm512_extracti32x8_epi32::<1>(best)];
        Best { lanes, run: cast(run) }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn best_avx2<const D: usize, const BITS: usize>(near: &[[u16; LANES]], target: &Target<'_, D>) -> Best {
        // As above, with three bits.
        let levels = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let levels = _mm256_cvtepi32_ps(_mm256_and_si256(levels, _mm256_set1_epi32((1 << BITS) - 1)));
        let values = _mm256_add_ps(_mm256_set1_ps(target.first), _mm256_mul_ps(_mm256_set1_ps(target.step), levels));
        let values = _mm256_mul_ps(_mm256_set1_ps(target.scale), values);
        let mut errors = [_mm256_setzero_ps(); D];
        for (i, errors) in errors.iter_mut().enumerate() {
            let difference = _mm256_sub_ps(values, _mm256_set1_ps(target.x[i]));
            let weighted = _mm256_mul_ps(_mm256_set1_ps(target.weights[i]), difference);
            *errors = _mm256_mul_ps(weighted, difference);
        }
        let (mut least, mut best) = ([_mm256_set1_ps(f32::MAX); 2], [_mm256_setzero_ps(); 2]);
        for (run, &codes) in near.iter().enumerate() {
            let run = _mm256_castsi256_ps(_mm256_set1_epi32(run as i32));
            let codes: [__m128i; 2] = cast(codes);
            for half in 0..2 {
                let mut codes = _mm256_cvtepu16_epi32(codes[half]);
                let mut error = _mm256_setzero_ps();
                for &errors in &errors {
                    error = _mm256_add_ps(error, _mm256_permutevar8x32_ps(errors, codes));
                    codes = _mm256_srl_epi32(codes, _mm_cvtsi32_si128(BITS as i32));
                }
                let better = _mm256_cmp_ps::<_CMP_LT_OQ>(error, least[half]);
                least[half] = _mm256_blendv_ps(least[half], error, better);
                best[half] = _mm256_blendv_ps(best[half], run, better);
            }
        }
        let four = _mm256_min_ps(least[0], least[1]);
        let four = _mm_min_ps(_mm256_castps256_ps128(four), _mm256_extractf128_ps::<1>(four));
        let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
        let of_all = _mm256_broadcastss_ps(_mm_min_ps(two, _mm_shuffle_ps::<1>(two, two)));
        let lanes = least.map(|least| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(least, of_all)) as u32);
        Best { lanes: lanes[0] | lanes[1] << 8, run: cast(best) }
    }
}
