//! The integer products of a group: directly, or by Winograd's inner product, which has half the multiplications.
//!
//! `x1 * w1 + x2 * w2 = (x1 + w2) * (x2 + w1) - x1 * x2 - w1 * w2` (S. Winograd, A New Algorithm for Inner Product,
//! 1968). Additions of bytes run beside multiplications on some processors. The last two products know one side only:
//! panels and tiles have their sums over a group as start values. All is exact: sums wrap, and what they come to fits.
//! Numbers 1 and 2 are the first and second four of each eight elements, which one dot product takes at once.

use std::arch::x86_64::*;

use super::super::{GROUPS, Tile};
use super::by_groups;
use crate::matmul::activation::{PanelView, Panels, TOKENS_PER_PANEL};
use crate::matmul::integers::SPAN;

/// How the products of a group are summed.
pub(super) trait InnerProduct {
    /// Whether weights whose groups have offsets and F32 scales are centred around zero.
    const CENTRES: bool;
    /// Whether adding the start values of the tile's groups takes an addition each, which could be done for all later.
    const ADDS_LATER: bool;

    /// The panels for weights of a range.
    fn panels(smallest: i32, largest: i32) -> Panels;

    /// The start values of a row's groups of `group` values, 16 or 32.
    ///
    /// # Safety
    /// The machine has AVX-512 VNNI.
    unsafe fn starts(row: [__m512i; 4], group: usize) -> __m512i;

    /// The integer products of a group of `LEN` elements for `R` rows and `C` panels; `group` is that of the tile. Where
    /// `STARTS_LATER`, which only `ADDS_LATER` allows, they lack the start values of the tile.
    ///
    /// # Safety
    /// The rows from `row` on and the group lie within the tile, the panels cover the group; the machine has AVX-512
    /// VNNI.
    unsafe fn dots<const LEN: usize, const STARTS_LATER: bool, const R: usize, const C: usize>(
        tile: &Tile,
        row: usize,
        group: usize,
        panels: &[PanelView; C],
    ) -> [[__m512i; C]; R];
}

/// Activations are the unsigned operand (value + 128), so weights stay signed and need no correction but the start
/// value of the integer sums.
pub(super) struct Direct;

/// For weights of up to five bits: activations are so much smaller that their sums with weights are bytes.
pub(super) struct Winograd;

impl InnerProduct for Direct {
    const CENTRES: bool = false;
    const ADDS_LATER: bool = false;

    fn panels(_: i32, _: i32) -> Panels {
        Panels::Unsigned
    }

    #[inline(always)]
    unsafe fn starts(row: [__m512i; 4], group: usize) -> __m512i {
        // SAFETY: the caller vouches for the machine.
        unsafe { starts_of_raised(row, group) }
    }

    #[inline(always)]
    unsafe fn dots<const LEN: usize, const STARTS_LATER: bool, const R: usize, const C: usize>(
        tile: &Tile,
        row: usize,
        group: usize,
        panels: &[PanelView; C],
    ) -> [[__m512i; C]; R] {
        // SAFETY: the caller vouches for the rows, the group and the panels.
        unsafe {
            let values = tile.values.as_ptr().add(row).cast::<i8>().add(group * LEN);
            let starts = tile.starts.as_ptr().add(row).cast::<i32>().add(group);
            let mut dots = [[_mm512_setzero_si512(); C]; R];
            for (r, dots) in dots.iter_mut().enumerate() {
                dots.fill(_mm512_set1_epi32(*starts.add(r * GROUPS)));
            }
            for k in 0..LEN / 4 {
                let mut x = [_mm512_setzero_si512(); C];
                for (x, panel) in x.iter_mut().zip(panels) {
                    *x = _mm512_loadu_si512(panel.values.add((group * LEN / 4 + k) * 64).cast());
                }
                for (r, dots) in dots.iter_mut().enumerate() {
                    let w = _mm512_set1_epi32(values.add(r * SPAN + 4 * k).cast::<i32>().read_unaligned());
                    for (dot, x) in dots.iter_mut().zip(x) {
                        *dot = _mm512_dpbusd_epi32(*dot, x, w);
                    }
                }
            }
            dots
        }
    }
}

impl InnerProduct for Winograd {
    const CENTRES: bool = true;
    const ADDS_LATER: bool = true;

    fn panels(smallest: i32, largest: i32) -> Panels {
        // Sums are from -128 to 127.
        Panels::Winograd { largest: (127 - largest).min(128 + smallest) as i8 }
    }

    #[inline(always)]
    unsafe fn starts(row: [__m512i; 4], group: usize) -> __m512i {
        // SAFETY: the caller vouches for the machine.
        unsafe { starts_of_pairs(row, group) }
    }

    #[inline(always)]
    unsafe fn dots<const LEN: usize, const STARTS_LATER: bool, const R: usize, const C: usize>(
        tile: &Tile,
        row: usize,
        group: usize,
        panels: &[PanelView; C],
    ) -> [[__m512i; C]; R] {
        // SAFETY: the caller vouches for the rows, the group and the panels.
        unsafe {
            let values = tile.values.as_ptr().add(row).cast::<i8>().add(group * LEN);
            let starts = tile.starts.as_ptr().add(row).cast::<i32>().add(group);
            let mut dots = [[_mm512_setzero_si512(); C]; R];
            let mut of_x = [_mm512_setzero_si512(); C];
            for (of_x, panel) in of_x.iter_mut().zip(panels) {
                let starts = if LEN == 16 { panel.starts16 } else { panel.starts32 };
                *of_x = _mm512_loadu_si512(starts.add(group * TOKENS_PER_PANEL).cast());
            }
            for (r, dots) in dots.iter_mut().enumerate() {
                *dots = of_x;
                if !STARTS_LATER {
                    let of_w = _mm512_set1_epi32(*starts.add(r * GROUPS));
                    for dot in dots {
                        *dot = _mm512_add_epi32(*dot, of_w);
                    }
                }
            }
            for k in 0..LEN / 8 {
                let mut x = [[_mm512_setzero_si512(); 2]; C];
                for (x, panel) in x.iter_mut().zip(panels) {
                    let eight = panel.values.add((group * LEN / 8 + k) * 128);
                    *x = [_mm512_loadu_si512(eight.cast()), _mm512_loadu_si512(eight.add(64).cast())];
                }
                for (r, dots) in dots.iter_mut().enumerate() {
                    let eight = values.add(r * SPAN + 8 * k).cast::<i32>();
                    let w1 = _mm512_set1_epi32(eight.read_unaligned());
                    let w2 = _mm512_set1_epi32(eight.add(1).read_unaligned());
                    for (dot, [x1, x2]) in dots.iter_mut().zip(x) {
                        *dot = _mm512_dpbusd_epi32(*dot, _mm512_add_epi8(x1, w2), _mm512_add_epi8(x2, w1));
                    }
                }
            }
            dots
        }
    }
}

/// Less 128 times the sum of the values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn starts_of_raised(row: [__m512i; 4], group: usize) -> __m512i {
    let mut eights = [_mm512_setzero_si512(); 4];
    for (eights, values) in eights.iter_mut().zip(row) {
        let raised = _mm512_xor_si512(values, _mm512_set1_epi8(-128));
        *eights = _mm512_sad_epu8(raised, _mm512_setzero_si512());
    }
    let raised = by_groups(eights, group);
    _mm512_slli_epi32::<7>(_mm512_sub_epi32(_mm512_set1_epi32(128 * group as i32), raised))
}

/// Less the products of each eight's first four values and second four raised by 128.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn starts_of_pairs(row: [__m512i; 4], group: usize) -> __m512i {
    let mut eights = [_mm512_setzero_si512(); 4];
    for (eights, values) in eights.iter_mut().zip(row) {
        let others = _mm512_shuffle_epi32::<0b10_11_00_01>(values);
        let raised = _mm512_xor_si512(others, _mm512_set1_epi8(-128));
        let products = _mm512_dpbusd_epi32(_mm512_setzero_si512(), raised, values);
        *eights = _mm512_maskz_mov_epi32(0x5555, products);
    }
    _mm512_sub_epi32(_mm512_setzero_si512(), by_groups(eights, group))
}
