//! Panels with AVX-512: sixteen tokens and 32 elements at a time, transposed in registers.

use std::arch::x86_64::*;

use super::{GROUP, Int16Layout, LARGEST, Panel16, TOKENS_PER_PANEL};
use crate::matmul::InputRows;
use crate::matmul::activation::tokens::Tokens;
use crate::transpose::transpose;

/// # Safety
/// As [`super::super::ActivationLayout::prepare`] for panels, on a machine with AVX-512; for Winograd's inner products
/// with VNNI as well.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn prepare_panel(layout: &Int16Layout, x: InputRows<'_>, panel: usize, view: Panel16) {
    // SAFETY: of tokens and columns beyond the last nothing is read; the view covers whole groups.
    unsafe {
        let tokens = Tokens::of_panel(x, panel, layout.cols, [f32::INFINITY; TOKENS_PER_PANEL]);
        for (group, first) in (0..layout.cols).step_by(GROUP).enumerate() {
            let factors = tokens.factors(first, GROUP, LARGEST);
            _mm512_storeu_ps(view.scales.cast_mut().add(group * TOKENS_PER_PANEL), factors.scales);
            for k in (first..first + GROUP).step_by(32) {
                let mut pairs = [_mm512_setzero_si512(); TOKENS_PER_PANEL];
                for (token, pairs) in pairs.iter_mut().enumerate() {
                    let round = |k| tokens.round(token, k, factors.inverses[token]);
                    *pairs = _mm512_packs_epi32(round(k), round(k + 16));
                }
                transpose(&mut pairs);
                // Packing worked within 128-bit lanes: vector 4 * lane + 2 * half + pair holds the elements
                // 16 * half + 4 * lane + 2 * pair.
                for (at, pairs) in pairs.into_iter().enumerate() {
                    let element = k + 16 * (at / 2 % 2) + 4 * (at / 4) + 2 * (at % 2);
                    _mm512_storeu_si512(view.values.cast_mut().add(element * TOKENS_PER_PANEL).cast(), pairs);
                }
            }
            if layout.winograd {
                fill_starts(view, group);
            }
        }
    }
}

/// Fills the start values of a group.
///
/// # Safety
/// The view has its values, and starts; the machine has AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn fill_starts(view: Panel16, group: usize) {
    let mut sums = [_mm512_setzero_si512(); 2];
    // SAFETY: the caller's view.
    unsafe {
        for four in 0..GROUP / 4 {
            let values = view.values.add((group * GROUP + 4 * four) * TOKENS_PER_PANEL);
            let (first, second) = (values, values.add(2 * TOKENS_PER_PANEL));
            let (first, second) = (_mm512_loadu_si512(first.cast()), _mm512_loadu_si512(second.cast()));
            sums[four % 2] = _mm512_dpwssd_epi32(sums[four % 2], first, second);
        }
        let starts = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_add_epi32(sums[0], sums[1]));
        _mm512_storeu_si512(view.starts.cast_mut().add(group * TOKENS_PER_PANEL).cast(), starts);
    }
}
