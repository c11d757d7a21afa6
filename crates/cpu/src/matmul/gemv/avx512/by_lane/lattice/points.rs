//! The lattices' points, looked up in registers.
//!
//! Gathers are slow on many processors (and slower still where their microcode guards them). A point of the IQ2
//! lattices has eight values of three kinds, one of the IQ3 lattices four of eight: both fit 16 bits, two or four a
//! value, so that `vpermi2w` finds 32 of 64 points at once, and bits above the sixth of the indices choose among its
//! results.

use std::arch::x86_64::*;

use ascua_quant::tables::{IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID};

use super::super::super::legacy::nibbles;

/// Points as 16 bits each, on a cache line's boundary.
#[repr(align(64))]
pub(super) struct Codes<const N: usize>([u16; N]);

pub(super) static IQ2_XXS: Codes<256> = codes_of_eight(&IQ2_XXS_GRID);
pub(super) static IQ2_XS: Codes<512> = codes_of_eight(&IQ2_XS_GRID);
pub(super) static IQ3_XXS: Codes<256> = codes_of_four(&IQ3_XXS_GRID, &IQ3_XXS_VALUES);
/// Codes are the values themselves.
pub(super) static IQ3_S: Codes<512> = codes_of_four(&IQ3_S_GRID, &IQ3_S_VALUES);

const IQ2_VALUES: [u8; 3] = [8, 25, 43];
const IQ3_XXS_VALUES: [u8; 16] = [4, 12, 20, 28, 36, 44, 52, 62, 0, 0, 0, 0, 0, 0, 0, 0];
const IQ3_S_VALUES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Points of eight values, two bits a value, lowest first.
const fn codes_of_eight<const N: usize>(grid: &[u64; N]) -> Codes<N> {
    let mut codes = [0; N];
    let mut point = 0;
    while point < N {
        let mut i = 0;
        while i < 8 {
            codes[point] |= code_of((grid[point] >> (8 * i)) as u8, &IQ2_VALUES) << (2 * i);
            i += 1;
        }
        point += 1;
    }
    Codes(codes)
}

/// Points of four values, four bits a value, lowest first.
const fn codes_of_four<const N: usize>(grid: &[u32; N], values: &[u8]) -> Codes<N> {
    let mut codes = [0; N];
    let mut point = 0;
    while point < N {
        let mut i = 0;
        while i < 4 {
            codes[point] |= code_of((grid[point] >> (8 * i)) as u8, values) << (4 * i);
            i += 1;
        }
        point += 1;
    }
    Codes(codes)
}

const fn code_of(value: u8, values: &[u8]) -> u16 {
    let mut code = 0;
    while values[code] != value {
        code += 1; // fails at compile time where a grid has another value
    }
    code as u16
}

impl<const N: usize> Codes<N> {
    /// The codes of 32 points, whose indices lie within the table.
    #[inline(always)]
    unsafe fn look_up(&self, indices: __m512i) -> __m512i {
        const { assert!(N.is_power_of_two() && N >= 64 && N <= 512, "one to eight pairs of registers") };
        // SAFETY: the registers lie within the table; AVX-512 is the caller's.
        unsafe {
            let mut found = [_mm512_setzero_si512(); 8];
            let mut left = N / 64;
            for (i, found) in found[..left].iter_mut().enumerate() {
                let table = self.0.as_ptr().add(64 * i);
                let (low, high) = (_mm512_load_si512(table.cast()), _mm512_load_si512(table.add(32).cast()));
                *found = _mm512_permutex2var_epi16(low, indices, high);
            }
            let mut bit = 64;
            while left > 1 {
                let set = _mm512_test_epi16_mask(indices, _mm512_set1_epi16(bit));
                left /= 2;
                for i in 0..left {
                    found[i] = _mm512_mask_blend_epi16(set, found[2 * i], found[2 * i + 1]);
                }
                bit *= 2;
            }
            found[0]
        }
    }

    /// Thirty-two points of eight values, in [`super::RowOrder::Fourths`].
    ///
    /// # Safety
    /// The indices lie within the table; the machine has AVX-512.
    #[inline(always)]
    pub(super) unsafe fn of_eight(&self, indices: __m512i) -> [__m512i; 4] {
        // SAFETY: as the caller says.
        unsafe {
            let [low, high] = nibbles(self.look_up(indices));
            // A nibble is two values.
            let (first, second) = (in_each_lane(&IQ2_FIRST), in_each_lane(&IQ2_SECOND));
            [
                _mm512_shuffle_epi8(first, low),
                _mm512_shuffle_epi8(second, low),
                _mm512_shuffle_epi8(first, high),
                _mm512_shuffle_epi8(second, high),
            ]
        }
    }

    /// The codes of thirty-two points of four values, in [`super::RowOrder::Halves`].
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub(super) unsafe fn of_four(&self, indices: __m512i) -> [__m512i; 2] {
        // SAFETY: as the caller says.
        unsafe { nibbles(self.look_up(indices)) }
    }
}

/// Magnitudes of IQ3_XXS from their codes.
#[inline(always)]
pub(super) unsafe fn iq3_xxs_values(codes: __m512i) -> __m512i {
    // SAFETY: AVX-512 is the caller's.
    unsafe { _mm512_shuffle_epi8(in_each_lane(&IQ3_XXS_VALUES), codes) }
}

#[inline(always)]
unsafe fn in_each_lane(table: &[u8; 16]) -> __m512i {
    // SAFETY: the table has sixteen bytes; AVX-512 is the caller's.
    unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast())) }
}

/// The values of the two codes in a nibble.
static IQ2_FIRST: [u8; 16] = two_bit_values(0);
static IQ2_SECOND: [u8; 16] = two_bit_values(2);

const fn two_bit_values(shift: usize) -> [u8; 16] {
    let mut values = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        if nibble >> shift & 3 < IQ2_VALUES.len() {
            values[nibble] = IQ2_VALUES[nibble >> shift & 3];
        }
        nibble += 1;
    }
    values
}
