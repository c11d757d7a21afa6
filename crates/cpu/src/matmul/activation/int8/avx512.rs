//! Panels with AVX-512: sixteen tokens and 64 elements at a time, transposed in registers.

use std::arch::x86_64::*;

use super::{ActivationGroup, Int8Layout, PanelView, Panels, SMALLEST, TOKENS_PER_PANEL};
use crate::matmul::InputRows;
use crate::matmul::transpose::{largest_lanes, transpose};

/// The tokens of a panel; those beyond the last are read as zeros.
struct Tokens {
    rows: [*const f32; TOKENS_PER_PANEL],
    present: [bool; TOKENS_PER_PANEL],
}

/// Scales of sixteen tokens, and what their elements are multiplied with.
#[derive(Clone, Copy)]
struct Factors {
    scales: __m512,
    inverses: [f32; TOKENS_PER_PANEL],
}

/// # Safety
/// As [`super::super::ActivationLayout::prepare`] for a layout of panels, on a machine with AVX-512.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn prepare_panel(layout: &Int8Layout, x: InputRows<'_>, panel: usize, view: PanelView) {
    // SAFETY: tokens that are not present are never read; columns stay below the layout's.
    unsafe {
        let mut tokens = Tokens { rows: [x.data; TOKENS_PER_PANEL], present: [false; TOKENS_PER_PANEL] };
        for lane in 0..TOKENS_PER_PANEL {
            let token = panel * TOKENS_PER_PANEL + lane;
            if token < x.tokens {
                tokens.rows[lane] = x.row(token);
                tokens.present[lane] = true;
            }
        }
        let one = _mm512_set1_ps(1.0);
        for first in (0..layout.cols).step_by(layout.group.len().max(64)) {
            let scales = view.scales.cast_mut().add(first / layout.group.len() * TOKENS_PER_PANEL);
            match layout.group {
                ActivationGroup::Of256 => {
                    let factors = tokens.factors(first, 256);
                    _mm512_storeu_ps(scales, factors.scales);
                    for part in (first..first + 256).step_by(64) {
                        tokens.quantise(layout, view, part, 2, [factors, factors], [one, one]);
                    }
                }
                ActivationGroup::Of32 => {
                    let low = tokens.factors(first, 32);
                    _mm512_storeu_ps(scales, low.scales);
                    if first + 64 <= layout.cols {
                        let high = tokens.factors(first + 32, 32);
                        _mm512_storeu_ps(scales.add(TOKENS_PER_PANEL), high.scales);
                        tokens.quantise(layout, view, first, 2, [low, high], [low.scales, high.scales]);
                    } else {
                        tokens.quantise(layout, view, first, 1, [low, low], [low.scales, low.scales]);
                    }
                }
            }
        }
    }
}

impl Tokens {
    /// Sixteen elements of a token from `k` on.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn load(&self, token: usize, k: usize) -> __m512 {
        let mask = if self.present[token] { 0xffff } else { 0 };
        // SAFETY: a token that is present has the elements; of the others nothing is read.
        unsafe { _mm512_maskz_loadu_ps(mask, self.rows[token].wrapping_add(k)) }
    }

    /// The factors of every token for the `count` elements from `first` on.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn factors(&self, first: usize, count: usize) -> Factors {
        let magnitude = _mm512_set1_epi32(0x7fff_ffff);
        let mut largest = [_mm512_setzero_si512(); TOKENS_PER_PANEL];
        for (token, largest) in largest.iter_mut().enumerate() {
            for k in (first..first + count).step_by(16) {
                // SAFETY: the caller's elements lie within the rows.
                let x = _mm512_castps_si512(unsafe { self.load(token, k) });
                // As integers, magnitudes order like the floats, and infinities and NaN come last.
                *largest = _mm512_max_epi32(*largest, _mm512_and_si512(x, magnitude));
            }
        }
        let bits = largest_lanes(&largest);
        let infinite = _mm512_cmpge_epi32_mask(bits, _mm512_set1_epi32(0x7f80_0000));
        let largest = _mm512_castsi512_ps(bits);
        let counts = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(largest, _mm512_set1_ps(SMALLEST)) & !infinite;
        let levels = _mm512_set1_ps(127.0);
        let scales = _mm512_maskz_div_ps(counts, largest, levels);
        let scales = _mm512_mask_blend_ps(infinite, scales, _mm512_set1_ps(f32::NAN));
        let mut inverses = [0.0; TOKENS_PER_PANEL];
        // SAFETY: the array has sixteen floats.
        unsafe { _mm512_storeu_ps(inverses.as_mut_ptr(), _mm512_maskz_div_ps(counts, levels, largest)) };
        Factors { scales, inverses }
    }

    /// Writes `halves` times 32 elements of every token from `first` on, and their sums.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn quantise(
        &self,
        layout: &Int8Layout,
        view: PanelView,
        first: usize,
        halves: usize,
        factors: [Factors; 2],
        units: [__m512; 2],
    ) {
        // SAFETY: the view covers the elements, and the caller's elements lie within the rows.
        unsafe {
            let mut bytes = [_mm512_setzero_si512(); TOKENS_PER_PANEL];
            for (token, bytes) in bytes.iter_mut().enumerate() {
                let mut words = [_mm512_setzero_si512(); 2];
                for (half, words) in words.iter_mut().enumerate().take(halves) {
                    let inverse = _mm512_set1_ps(factors[half].inverses[token]);
                    let round = |k| _mm512_cvtps_epi32(_mm512_mul_ps(self.load(token, first + 32 * half + k), inverse));
                    *words = _mm512_packs_epi32(round(0), round(16));
                }
                *bytes = _mm512_packs_epi16(words[0], words[1]);
            }
            transpose(&mut bytes);
            // Packing worked within 128-bit lanes: vector 4 * lane + sixteenth holds elements 16 * sixteenth + 4 * lane.
            let flip = _mm512_set1_epi8(if layout.panels == Panels::Unsigned { -128 } else { 0 });
            let values = view.values.cast_mut().add(first * TOKENS_PER_PANEL);
            let (ones, word_ones) = (_mm512_set1_epi8(1), _mm512_set1_epi16(1));
            let mut sums = [_mm512_setzero_si512(); 4];
            for (sixteenth, sum) in sums.iter_mut().enumerate().take(2 * halves) {
                let mut pairs = _mm512_setzero_si512();
                for lane in 0..4 {
                    let four = bytes[4 * lane + sixteenth];
                    let to = values.add((4 * sixteenth + lane) * 64);
                    _mm512_storeu_si512(to.cast(), _mm512_xor_si512(four, flip));
                    pairs = _mm512_add_epi16(pairs, _mm512_maddubs_epi16(ones, four));
                }
                *sum = _mm512_madd_epi16(pairs, word_ones);
            }
            let sums16 = view.sums16.cast_mut().add(first / 16 * TOKENS_PER_PANEL);
            let sums32 = view.sums32.cast_mut().add(first / 32 * TOKENS_PER_PANEL);
            for half in 0..halves {
                let scaled = |sum| _mm512_mul_ps(units[half], _mm512_cvtepi32_ps(sum));
                let (low, high) = (sums[2 * half], sums[2 * half + 1]);
                _mm512_storeu_ps(sums16.add(2 * half * TOKENS_PER_PANEL), scaled(low));
                _mm512_storeu_ps(sums16.add((2 * half + 1) * TOKENS_PER_PANEL), scaled(high));
                _mm512_storeu_ps(sums32.add(half * TOKENS_PER_PANEL), scaled(_mm512_add_epi32(low, high)));
            }
        }
    }
}
