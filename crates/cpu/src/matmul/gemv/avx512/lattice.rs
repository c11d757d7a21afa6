//! How the lattice types are read: IQ1, IQ2 and IQ3. Points are gathered; signs are masks on the activations.

use std::arch::x86_64::*;

use ascua_quant::tables::{IQ1_GRID, IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID};

use super::super_blocks::{Correction, Read, SuperBlock, lanes_of_8, lanes_of_16};

pub(super) struct Iq1S;
pub(super) struct Iq1M;
pub(super) struct Iq2Xxs;
pub(super) struct Iq2Xs;
pub(super) struct Iq2S;
pub(super) struct Iq3Xxs;
pub(super) struct Iq3S;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512; indices have no
// more bits than their table has entries for.

impl SuperBlock for Iq1S {
    const BYTES: usize = 50;
    const CORRECTION: Correction = Correction::Zero { shift: 4 };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let words = _mm_loadu_si128(block.add(34).cast());
            let mut values = [_mm512_setzero_si512(); 4];
            for (i, values) in values.iter_mut().enumerate() {
                let pair = block.add(34 + 4 * i).cast::<u32>().read_unaligned();
                let (first, second) = ((pair & 0xffff) as i32, (pair >> 16) as i32);
                let words = _mm256_setr_epi32(first, first, first, first, second, second, second, second);
                let upper = _mm256_srlv_epi32(words, _mm256_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9));
                let down = _mm256_movepi32_mask(_mm256_slli_epi32::<16>(words));
                *values = eighths(block.add(2 + 8 * i), upper, down);
            }
            // Odd factors of groups of 32, once for each 16.
            let three = _mm_and_si128(_mm_srli_epi16::<12>(words), _mm_set1_epi16(7));
            let odd = _mm_add_epi16(_mm_add_epi16(three, three), _mm_set1_epi16(1));
            let of_sums = _mm256_set_m128i(_mm_unpackhi_epi16(odd, odd), _mm_unpacklo_epi16(odd, odd));
            let bytes = _mm_cvtsi128_si64(_mm_packus_epi16(odd, odd)) as u64;
            Read { values, scales: lanes_of_8(bytes), of_sums, factors: half(block, 0.125), signs: None }
        }
    }
}

impl SuperBlock for Iq1M {
    const BYTES: usize = 56;
    const CORRECTION: Correction = Correction::Zero { shift: 4 };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            for (i, values) in values.iter_mut().enumerate() {
                let nibbles = _mm256_set1_epi32(block.add(32 + 4 * i).cast::<i32>().read_unaligned());
                let upper = _mm256_srlv_epi32(nibbles, _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
                let down = _mm256_test_epi32_mask(upper, _mm256_set1_epi32(8));
                *values = eighths(block.add(8 * i), upper, down);
            }
            let words = block.add(48).cast::<u64>().read_unaligned();
            let mut odd = [0i16; 16];
            for (group, odd) in odd.iter_mut().enumerate() {
                *odd = 2 * (words >> (16 * (group / 4) + 3 * (group % 4)) & 7) as i16 + 1;
            }
            let of_sums = _mm256_loadu_si256(odd.as_ptr().cast());
            let bits = words >> 12 & 0xf | words >> 24 & 0xf0 | words >> 36 & 0xf00 | words >> 48 & 0xf000;
            let factors = _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(bits as i32)), _mm_set1_ps(0.125));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors, signs: None }
        }
    }
}

impl SuperBlock for Iq2Xxs {
    const BYTES: usize = 66;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            let (mut signs, mut scales) = ([0; 4], 0);
            for i in 0..4 {
                let group = |g: usize| block.add(2 + 16 * i + 8 * g).cast::<u64>().read_unaligned();
                let (first, second) = (group(0), group(1));
                let words = first >> 32 | second & 0xffff_ffff_0000_0000;
                let indices = _mm_cvtsi64_si128((first & 0xffff_ffff | second << 32) as i64);
                values[i] = points(&IQ2_XXS_GRID, _mm256_cvtepu8_epi32(indices));
                signs[i] = even_signs(words);
                scales |= odd_top_nibbles(words) << (16 * i);
            }
            let factors = half(block, 0.125);
            Read { values, scales: lanes_of_8(scales), of_sums: _mm256_setzero_si256(), factors, signs: Some(signs) }
        }
    }
}

impl SuperBlock for Iq2Xs {
    const BYTES: usize = 74;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            let mut signs = [0; 4];
            for i in 0..4 {
                let words = _mm_loadu_si128(block.add(2 + 16 * i).cast());
                let indices = _mm_and_si128(words, _mm_set1_epi16(511));
                values[i] = points(&IQ2_XS_GRID, _mm256_cvtepu16_epi32(indices));
                let seven = _mm_srli_epi16::<9>(words);
                signs[i] = with_parity(_mm_cvtsi128_si64(_mm_packus_epi16(seven, seven)) as u64);
            }
            let of_sums = odd_nibbles(block.add(66));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors: half(block, 0.125), signs: Some(signs) }
        }
    }
}

impl SuperBlock for Iq2S {
    const BYTES: usize = 82;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            let mut signs = [0; 4];
            for i in 0..4 {
                let low = _mm256_cvtepu8_epi32(_mm_loadl_epi64(block.add(2 + 8 * i).cast()));
                let pairs = block.add(66 + 2 * i).cast::<u16>().read_unaligned();
                let pairs = _mm256_set1_epi32(i32::from(pairs));
                let upper = _mm256_srlv_epi32(pairs, _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
                let upper = _mm256_slli_epi32::<8>(_mm256_and_si256(upper, _mm256_set1_epi32(3)));
                values[i] = points(&IQ2_S_GRID, _mm256_or_si256(low, upper));
                signs[i] = block.add(34 + 8 * i).cast::<u64>().read_unaligned();
            }
            let of_sums = odd_nibbles(block.add(74));
            Read { values, scales: lanes_of_16(of_sums), of_sums, factors: half(block, 0.125), signs: Some(signs) }
        }
    }
}

impl SuperBlock for Iq3Xxs {
    const BYTES: usize = 98;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            let (mut signs, mut scales) = ([0; 4], 0);
            for i in 0..4 {
                let indices = _mm512_cvtepu8_epi32(_mm_loadu_si128(block.add(2 + 16 * i).cast()));
                values[i] = half_points(&IQ3_XXS_GRID, indices);
                let words = block.add(66 + 8 * i).cast::<u64>().read_unaligned();
                signs[i] = even_signs(words);
                scales |= odd_top_nibbles(words) << (16 * i);
            }
            let factors = half(block, 0.25);
            Read { values, scales: lanes_of_8(scales), of_sums: _mm256_setzero_si256(), factors, signs: Some(signs) }
        }
    }
}

impl SuperBlock for Iq3S {
    const BYTES: usize = 110;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = [_mm512_setzero_si512(); 4];
            let mut signs = [0; 4];
            for i in 0..4 {
                let low = _mm512_cvtepu8_epi32(_mm_loadu_si128(block.add(2 + 16 * i).cast()));
                let ninth = block.add(66 + 2 * i).cast::<u16>().read_unaligned();
                let indices = _mm512_mask_add_epi32(low, ninth, low, _mm512_set1_epi32(256));
                values[i] = half_points(&IQ3_S_GRID, indices);
                signs[i] = block.add(74 + 8 * i).cast::<u64>().read_unaligned();
            }
            // Eight nibbles, one a byte.
            let packed = u64::from(block.add(106).cast::<u32>().read_unaligned());
            let spread = (packed | packed << 16) & 0x0000_ffff_0000_ffff;
            let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
            let nibbles = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
            let scales = lanes_of_8((nibbles << 1) | 0x0101_0101_0101_0101);
            let factors = half(block, 1.0);
            Read { values, scales, of_sums: _mm256_setzero_si256(), factors, signs: Some(signs) }
        }
    }
}

/// The block's scale times a constant.
#[inline(always)]
unsafe fn half(block: *const u8, unit: f32) -> __m128 {
    // SAFETY: the caller's block begins with a half.
    unsafe {
        let bits = block.cast::<u16>().read_unaligned();
        _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits))), _mm_set1_ps(unit))
    }
}

/// Eight points of eight values; the indices lie within the table.
#[inline(always)]
unsafe fn points(grid: &[u64], indices: __m256i) -> __m512i {
    // SAFETY: the caller's indices lie within the table.
    unsafe { _mm512_i32gather_epi64::<8>(indices, grid.as_ptr().cast()) }
}

/// Sixteen points of four values; the indices lie within the table.
#[inline(always)]
unsafe fn half_points(grid: &[u32], indices: __m512i) -> __m512i {
    // SAFETY: the caller's indices lie within the table.
    unsafe { _mm512_i32gather_epi32::<4>(indices, grid.as_ptr().cast()) }
}

/// Eight ternary points in eighths, raised by 16: `low` holds the low bits of their indices, `upper` the next three,
/// and points in `down` lie an eighth lower instead of higher.
#[inline(always)]
unsafe fn eighths(low: *const u8, upper: __m256i, down: __mmask8) -> __m512i {
    // SAFETY: the caller has eight bytes; an index has eleven bits.
    unsafe {
        let low = _mm256_cvtepu8_epi32(_mm_loadl_epi64(low.cast()));
        let upper = _mm256_slli_epi32::<8>(_mm256_and_si256(upper, _mm256_set1_epi32(7)));
        let thirds = points(&IQ1_GRID, _mm256_or_si256(low, upper));
        let eight = _mm512_and_si512(_mm512_slli_epi64::<3>(thirds), _mm512_set1_epi8(-8));
        let shift = _mm512_mask_blend_epi64(down, _mm512_set1_epi8(17), _mm512_set1_epi8(15));
        _mm512_add_epi8(eight, shift)
    }
}

/// The sign bits of eight points from two words of four times seven bits.
#[inline(always)]
fn even_signs(words: u64) -> u64 {
    let spread = words & 0x0000_007f_0000_007f
        | words << 1 & 0x0000_7f00_0000_7f00
        | words << 2 & 0x007f_0000_007f_0000
        | words << 3 & 0x7f00_0000_7f00_0000;
    with_parity(spread)
}

/// Sets the top bit of every byte so that its number of ones is even.
#[inline(always)]
fn with_parity(bytes: u64) -> u64 {
    let mut parity = bytes ^ bytes >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    bytes | (parity & 0x0101_0101_0101_0101) << 7
}

/// Twice the top nibbles of two words, plus one, as two bytes.
#[inline(always)]
fn odd_top_nibbles(words: u64) -> u64 {
    (words >> 27 & 0x1e) | (words >> 51 & 0x1e00) | 0x0101
}

/// Twice sixteen nibbles, plus one, as words.
#[inline(always)]
unsafe fn odd_nibbles(bytes: *const u8) -> __m256i {
    // SAFETY: the caller's block has the eight bytes.
    unsafe {
        let bytes = _mm_loadl_epi64(bytes.cast());
        let nibbles = _mm_and_si128(_mm_unpacklo_epi8(bytes, _mm_srli_epi16::<4>(bytes)), _mm_set1_epi8(15));
        let words = _mm256_cvtepu8_epi16(nibbles);
        _mm256_add_epi16(_mm256_add_epi16(words, words), _mm256_set1_epi16(1))
    }
}
