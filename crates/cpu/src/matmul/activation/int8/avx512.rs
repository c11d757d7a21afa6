//! Panels with AVX-512: sixteen tokens and 64 elements at a time, transposed in registers.

use std::arch::x86_64::*;

use super::{ActivationGroup, Int8Layout, PanelView, Panels, SCALE_MASK, TOKENS_PER_PANEL};
use crate::matmul::InputRows;
use crate::matmul::activation::tokens::{Factors, Tokens};
use crate::transpose::transpose;

/// # Safety
/// As [`super::super::ActivationLayout::prepare`] for a layout of panels, on a machine with AVX-512; for Winograd's inner
/// products with VNNI as well.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn prepare_panel(
    layout: &Int8Layout,
    x: InputRows<'_>,
    panel: usize,
    limits: [f32; TOKENS_PER_PANEL],
    view: PanelView,
) {
    // SAFETY: tokens that are not present are never read; columns stay below the layout's.
    unsafe {
        let tokens = Tokens::of_panel(x, panel, layout.cols, limits);
        let (one, levels) = (_mm512_set1_ps(1.0), layout.panels.largest());
        for first in (0..layout.cols).step_by(layout.group.len().max(64)) {
            let scales = view.scales.cast_mut().add(first / layout.group.len() * TOKENS_PER_PANEL);
            match layout.group {
                ActivationGroup::Of256 => {
                    let factors = short(tokens.factors(first, 256, levels));
                    _mm512_storeu_ps(scales, factors.scales);
                    for part in (first..first + 256).step_by(64) {
                        tokens.quantise(layout, view, part, 2, [factors, factors], [one, one]);
                    }
                }
                ActivationGroup::Of32 => {
                    let low = short(tokens.factors(first, 32, levels));
                    _mm512_storeu_ps(scales, low.scales);
                    if first + 64 <= layout.cols {
                        let high = short(tokens.factors(first + 32, 32, levels));
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

/// With scales of [`super::SCALE_BITS`] bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn short(factors: Factors) -> Factors {
    let scales = _mm512_and_ps(factors.scales, _mm512_castsi512_ps(_mm512_set1_epi32(SCALE_MASK as i32)));
    Factors { scales, ..factors }
}

impl Tokens {
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
                    let round = |k| self.round(token, first + 32 * half + k, factors[half].inverses[token]);
                    *words = _mm512_packs_epi32(round(0), round(16));
                }
                *bytes = _mm512_packs_epi16(words[0], words[1]);
            }
            transpose(&mut bytes);
            // Packing worked within 128-bit lanes: vector 4 * lane + sixteenth holds elements 16 * sixteenth + 4 * lane.
            let flips = [0, 4].map(|k| _mm512_set1_epi8(layout.panels.flip(k) as i8));
            let values = view.values.cast_mut().add(first * TOKENS_PER_PANEL);
            let (ones, word_ones) = (_mm512_set1_epi8(1), _mm512_set1_epi16(1));
            let mut sums = [_mm512_setzero_si512(); 4];
            for (sixteenth, sum) in sums.iter_mut().enumerate().take(2 * halves) {
                let mut pairs = _mm512_setzero_si512();
                let mut squares = _mm512_setzero_si512();
                for lane in 0..4 {
                    let four = bytes[4 * lane + sixteenth];
                    let to = values.add((4 * sixteenth + lane) * 64);
                    _mm512_storeu_si512(to.cast(), _mm512_xor_si512(four, flips[lane % 2]));
                    pairs = _mm512_add_epi16(pairs, _mm512_maddubs_epi16(ones, four));
                    let magnitudes = _mm512_abs_epi8(four);
                    let two = _mm512_maddubs_epi16(magnitudes, magnitudes);
                    squares = _mm512_add_epi32(squares, _mm512_madd_epi16(two, word_ones));
                }
                *sum = _mm512_madd_epi16(pairs, word_ones);
                let most = view.squares16.cast_mut().add(first / 16 + sixteenth);
                *most = _mm512_reduce_max_epi32(squares) as f32;
            }
            let sums16 = view.sums16.cast_mut().add(first / 16 * TOKENS_PER_PANEL);
            let sums32 = view.sums32.cast_mut().add(first / 32 * TOKENS_PER_PANEL);
            let pairs16 = view.pairs16.cast_mut().add(first / 16 * TOKENS_PER_PANEL);
            let pairs32 = view.pairs32.cast_mut().add(first / 32 * TOKENS_PER_PANEL);
            if let Panels::Winograd { .. } = layout.panels {
                fill_starts(view, first, halves);
            }
            if layout.group == ActivationGroup::Of256 {
                let whole = [_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3])];
                _mm512_storeu_si512(pairs32.cast(), pairs(whole));
                _mm512_storeu_si512(pairs16.cast(), pairs([sums[0], sums[1]]));
                _mm512_storeu_si512(pairs16.add(2 * TOKENS_PER_PANEL).cast(), pairs([sums[2], sums[3]]));
            }
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

/// Fills the start values of `halves` times 32 elements from `first` on.
///
/// # Safety
/// The view has their values, and starts; the machine has AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn fill_starts(view: PanelView, first: usize, halves: usize) {
    for half in first / 32..first / 32 + halves {
        let mut starts = [_mm512_setzero_si512(); 2];
        // SAFETY: the caller's view.
        unsafe {
            for (sixteenth, start) in (2 * half..).zip(&mut starts) {
                let values = view.values.add(16 * sixteenth * TOKENS_PER_PANEL);
                for eight in [values, values.add(8 * TOKENS_PER_PANEL)] {
                    let (raised, signed) = (_mm512_loadu_si512(eight.cast()), _mm512_loadu_si512(eight.add(64).cast()));
                    *start = _mm512_dpbusd_epi32(*start, raised, signed);
                }
                *start = _mm512_sub_epi32(_mm512_setzero_si512(), *start);
                _mm512_storeu_si512(view.starts16.cast_mut().add(sixteenth * TOKENS_PER_PANEL).cast(), *start);
            }
            let whole = _mm512_add_epi32(starts[0], starts[1]);
            _mm512_storeu_si512(view.starts32.cast_mut().add(half * TOKENS_PER_PANEL).cast(), whole);
        }
    }
}

/// The lower halves of two vectors' numbers, side by side.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn pairs([first, second]: [__m512i; 2]) -> __m512i {
    _mm512_mask_blend_epi16(0xaaaa_aaaa, first, _mm512_slli_epi32::<16>(second))
}
