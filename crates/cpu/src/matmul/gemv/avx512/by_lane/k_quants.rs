//! How Q3_K, Q4_K, Q5_K and IQ4_XS are read.

use std::arch::x86_64::*;

use super::super::k_quants::{SELECT, six_bits_of_sixteen};
use super::super::legacy::{iq4_table, looked_up, nibbles};
use super::{Block, Chains, Minimums, Read, Signs};

pub(in super::super) struct Q3K;
/// Where products are added by pairs, of nibbles that all come to the low bits.
pub(in super::super) struct Q4K<const BY_PAIRS: bool>;
pub(in super::super) struct Q5K;
/// Where products are added by pairs, of magnitudes and signs.
pub(in super::super) struct Iq4Xs<const BY_PAIRS: bool>;

// SAFETY of every block below: the frame passes a pointer to a whole block, and runs with AVX-512.

impl Block for Q3K {
    const BYTES: usize = 110;
    const CHAINS: Chains = Chains::Two;
    const ZERO: u8 = 4;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = two_bits(block.add(32));
            // Bit `group` of a byte comes to bit 2.
            let turn = _mm512_setr_epi64(2, 1, 0, 63, 62, 61, 60, 59);
            for (k, values) in values.iter_mut().enumerate() {
                let third = _mm512_rolv_epi64(eight_bytes(block.add(8 * k)), turn);
                let both = _mm512_ternarylogic_epi32::<SELECT>(_mm512_set1_epi8(3), *values, third);
                *values = _mm512_and_si512(both, _mm512_set1_epi8(7));
            }
            let scales = _mm512_cvtepi8_epi32(six_bits_of_sixteen(block.add(96)));
            Read {
                values,
                scales: scales_of_16(scales, half(block.add(108))),
                minimums: _mm256_setzero_ps(),
                signs: [0; 4],
            }
        }
    }
}

impl<const BY_PAIRS: bool> Block for Q4K<BY_PAIRS> {
    const BYTES: usize = 144;
    const CHAINS: Chains = Chains::One;
    const MINIMUMS: Minimums = Minimums::Of32;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = nibble_pairs(block.add(16));
            let (scales, minimums) = six_bit_scales(block);
            if BY_PAIRS {
                let shift = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
                for values in &mut values {
                    *values = _mm512_and_si512(_mm512_srlv_epi64(*values, shift), _mm512_set1_epi8(15));
                }
                return Read { values, scales: [scales; 2], minimums, signs: [0; 4] };
            }
            // High nibbles stay where they are, sixteen times as large.
            let nibble = _mm512_setr_epi64(LOW, LOW << 4, LOW, LOW << 4, LOW, LOW << 4, LOW, LOW << 4);
            values.iter_mut().for_each(|values| *values = _mm512_and_si512(*values, nibble));
            let unit = _mm512_setr_ps(
                1.0, 1.0, SIXTEENTH, SIXTEENTH, 1.0, 1.0, SIXTEENTH, SIXTEENTH, 1.0, 1.0, SIXTEENTH, SIXTEENTH, 1.0,
                1.0, SIXTEENTH, SIXTEENTH,
            );
            Read { values, scales: [_mm512_mul_ps(scales, unit); 2], minimums, signs: [0; 4] }
        }
    }
}

impl Block for Q5K {
    const BYTES: usize = 176;
    const CHAINS: Chains = Chains::One;
    const MINIMUMS: Minimums = Minimums::Of32;

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            let mut values = nibble_pairs(block.add(48));
            let shift = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
            values.iter_mut().for_each(|values| *values = _mm512_srlv_epi64(*values, shift));
            // Bit `group` of a byte comes to bit 4.
            let turn = _mm512_setr_epi64(4, 3, 2, 1, 0, 63, 62, 61);
            for (k, values) in values.iter_mut().enumerate() {
                let fifth = _mm512_rolv_epi64(eight_bytes(block.add(16 + 8 * k)), turn);
                let both = _mm512_ternarylogic_epi32::<SELECT>(_mm512_set1_epi8(15), *values, fifth);
                *values = _mm512_and_si512(both, _mm512_set1_epi8(31));
            }
            let (scales, minimums) = six_bit_scales(block);
            Read { values, scales: [scales; 2], minimums, signs: [0; 4] }
        }
    }
}

impl<const BY_PAIRS: bool> Block for Iq4Xs<BY_PAIRS> {
    const BYTES: usize = 136;
    const CHAINS: Chains = Chains::One;
    const ZERO: u8 = if BY_PAIRS { 0 } else { 128 };
    const SIGNS: Signs = if BY_PAIRS { Signs::Apart } else { Signs::InValues };

    #[inline(always)]
    unsafe fn read(block: *const u8) -> Read {
        // SAFETY: as above.
        unsafe {
            // Sixteen bytes a group: two vectors of low nibbles, two of high ones.
            let (first, second) = (line(block.add(8)), line(block.add(72)));
            let even = _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), second);
            let odd = _mm512_permutex2var_epi64(first, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), second);
            let ([a, c], [b, d]) = (nibbles(even), nibbles(odd));
            let mut signs = [0; 4];
            if BY_PAIRS {
                // Those of the table's first half are negative.
                for (signs, codes) in signs.iter_mut().zip([a, b, c, d]) {
                    *signs = _mm512_testn_epi8_mask(codes, _mm512_set1_epi8(8));
                }
            }
            let table = iq4_table::<BY_PAIRS>();
            let ([a, b], [c, d]) = (looked_up([a, b], table), looked_up([c, d], table));
            let header = _mm_loadl_epi64(block.cast());
            // Eight times four low bits and two high ones.
            let low = _mm_shuffle_epi8(header, _mm_setr_epi8(4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1));
            let low = _mm_and_si128(_mm_srlv_epi16(low, _mm_setr_epi16(0, 4, 0, 4, 0, 4, 0, 4)), _mm_set1_epi16(15));
            let high = _mm_shuffle_epi8(header, _mm_set1_epi16(0x0302));
            let high = _mm_srlv_epi16(high, _mm_setr_epi16(0, 2, 4, 6, 8, 10, 12, 14));
            let high = _mm_slli_epi16::<4>(_mm_and_si128(high, _mm_set1_epi16(3)));
            let scales = _mm_sub_epi16(_mm_or_si128(low, high), _mm_set1_epi16(32));
            let scales = _mm512_cvtepi16_epi32(_mm256_set_m128i(
                _mm_unpackhi_epi16(scales, scales),
                _mm_unpacklo_epi16(scales, scales),
            ));
            let scales = [_mm512_mul_ps(_mm512_cvtepi32_ps(scales), half(block)); 2];
            Read { values: [a, b, c, d], scales, minimums: _mm256_setzero_ps(), signs }
        }
    }
}

/// Four times 32 bytes with 32 elements in the low nibbles and the next 32 in the high ones, in eights: those of groups of
/// odd number stay in the high nibbles.
#[inline(always)]
unsafe fn nibble_pairs(bytes: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller's block has the 128 bytes.
    unsafe {
        let (first, second) = (line(bytes), line(bytes.add(64)));
        let mut values = [_mm512_setzero_si512(); 4];
        for (k, values) in values.iter_mut().enumerate() {
            let pairs = _mm512_add_epi64(_mm512_setr_epi64(0, 0, 4, 4, 8, 8, 12, 12), _mm512_set1_epi64(k as i64));
            *values = _mm512_permutex2var_epi64(first, pairs, second);
        }
        values
    }
}

/// Twice 32 bytes hold four times 32 elements of two bits, lowest bits first: brings each group's to the low bits, in
/// eights; the others keep what was there.
#[inline(always)]
unsafe fn two_bits(bytes: *const u8) -> [__m512i; 4] {
    // SAFETY: the caller's block has the 64 bytes.
    unsafe {
        let both = line(bytes);
        let shift = _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6);
        let mut values = [_mm512_setzero_si512(); 4];
        for (k, values) in values.iter_mut().enumerate() {
            let halves = _mm512_add_epi64(_mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4), _mm512_set1_epi64(k as i64));
            *values = _mm512_srlv_epi64(_mm512_permutexvar_epi64(halves, both), shift);
        }
        values
    }
}

/// The low nibble of each byte.
const LOW: i64 = 0x0f0f_0f0f_0f0f_0f0f;
const SIXTEENTH: f32 = 1.0 / 16.0;

#[inline(always)]
unsafe fn line(bytes: *const u8) -> __m512i {
    // SAFETY: the caller has 64 bytes.
    unsafe { _mm512_loadu_si512(bytes.cast()) }
}

/// The same eight bytes for every group.
#[inline(always)]
unsafe fn eight_bytes(bytes: *const u8) -> __m512i {
    // SAFETY: the caller has the bytes.
    unsafe { _mm512_set1_epi64(bytes.cast::<i64>().read_unaligned()) }
}

/// A half-precision number, in every lane.
#[inline(always)]
pub(super) unsafe fn half(bytes: *const u8) -> __m512 {
    // SAFETY: the caller has the bytes; AVX-512 is the caller's.
    unsafe { _mm512_cvtph_ps(_mm256_set1_epi16(bytes.cast::<i16>().read_unaligned())) }
}

/// The header Q4_K and Q5_K share: scales by lane, and minimums.
#[inline(always)]
unsafe fn six_bit_scales(block: *const u8) -> (__m512, __m256) {
    // SAFETY: the caller's block has the 16 bytes.
    unsafe {
        let four = |i: usize| block.add(4 + 4 * i).cast::<u32>().read_unaligned();
        let (a, b, c) = (four(0), four(1), four(2));
        let scales_high = (c & 0x0f0f_0f0f) | ((a >> 2) & 0x3030_3030);
        let minimums_high = ((c >> 4) & 0x0f0f_0f0f) | ((b >> 2) & 0x3030_3030);
        let scales = u64::from(a & 0x3f3f_3f3f) | u64::from(scales_high) << 32;
        let minimums = u64::from(b & 0x3f3f_3f3f) | u64::from(minimums_high) << 32;
        let minimums = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(minimums as i64)));
        let minimums = _mm256_mul_ps(minimums, _mm512_castps512_ps256(half(block.add(2))));
        (scales_of_8(scales, half(block)), minimums)
    }
}

/// Eight byte scales of 32 elements each, times a factor, by lane.
#[inline(always)]
unsafe fn scales_of_8(scales: u64, factor: __m512) -> __m512 {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let eight = _mm_cvtsi64_si128(scales as i64);
        let by_lane = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(eight, eight));
        _mm512_mul_ps(_mm512_cvtepi32_ps(by_lane), factor)
    }
}

/// Sixteen scales of 16 elements each, times a factor, by lane.
#[inline(always)]
unsafe fn scales_of_16(scales: __m512i, factor: __m512) -> [__m512; 2] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let sixteen = _mm512_mul_ps(_mm512_cvtepi32_ps(scales), factor);
        [_mm512_moveldup_ps(sixteen), _mm512_movehdup_ps(sixteen)]
    }
}
