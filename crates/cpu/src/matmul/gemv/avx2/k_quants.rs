//! How the super-blocks are read with AVX2: Q2_K to Q6_K and IQ4_XS.

use std::arch::x86_64::*;

use super::lattice::in_nibbles;
use super::legacy::{looked_up, nibbles};
use super::super_blocks::{Correction, Header, SuperBlock};
use super::{Stored, halves};
use crate::matmul::integers::IQ4_VALUES;

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;
pub(super) struct Iq4Xs;

// SAFETY of every block below: the frame passes a pointer to a whole block and parts below 8, and runs with AVX2.

impl SuperBlock for Q2K {
    const BYTES: usize = 84;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Minimums16;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let (both, nibble) = (_mm_loadu_si128(block.cast()), _mm_set1_epi8(15));
            Header {
                scales: _mm256_cvtepu8_epi16(even_then_odd(_mm_and_si128(both, nibble))),
                of_sums: _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16::<4>(both), nibble)),
                factors: halves(block.add(80).cast::<u32>().read_unaligned()),
            }
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe { bits::<3>(block.add(16 + 32 * (part / 4)), 2 * (part % 4), 0) }
    }
}

impl SuperBlock for Q3K {
    const BYTES: usize = 110;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Zero { shift: 2 };

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let word = |i: usize| block.add(96 + 4 * i).cast::<u32>().read_unaligned();
            let (a, b, high) = (word(0), word(1), word(2));
            let six = |low: u32, high: u32| ((low & 0x0f0f_0f0f) | ((high & 0x0303_0303) << 4)) as i32;
            let scales =
                _mm_setr_epi32(six(a, high), six(b, high >> 2), six(a >> 4, high >> 4), six(b >> 4, high >> 6));
            let scales = _mm_sub_epi8(scales, _mm_set1_epi8(32));
            Header {
                scales: _mm256_cvtepi8_epi16(even_then_odd(scales)),
                of_sums: _mm256_cvtepi8_epi16(scales),
                factors: halves(u32::from(block.add(108).cast::<u16>().read_unaligned())),
            }
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let low = bits::<3>(block.add(32 + 32 * (part / 4)), 2 * (part % 4), 0);
            _mm256_or_si256(low, bits::<4>(block, part, 2))
        }
    }
}

impl SuperBlock for Q4K {
    const BYTES: usize = 144;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Minimums8;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { six_bit_scales(block) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe { bits::<15>(block.add(16 + 32 * (part / 2)), 4 * (part % 2), 0) }
    }
}

impl SuperBlock for Q5K {
    const BYTES: usize = 176;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Minimums8;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe { six_bit_scales(block) }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let low = bits::<15>(block.add(48 + 32 * (part / 2)), 4 * (part % 2), 0);
            _mm256_or_si256(low, bits::<16>(block.add(16), part, 4))
        }
    }
}

impl SuperBlock for Q6K {
    const BYTES: usize = 210;
    const STORED: Stored = Stored::Unsigned;
    const CORRECTION: Correction = Correction::Zero { shift: 5 };

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            let scales = _mm_loadu_si128(block.add(192).cast());
            Header {
                scales: _mm256_cvtepi8_epi16(even_then_odd(scales)),
                of_sums: _mm256_cvtepi8_epi16(scales),
                factors: halves(u32::from(block.add(208).cast::<u16>().read_unaligned())),
            }
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let (half, quarter) = (part / 4, part % 4);
            let low = bits::<15>(block.add(64 * half + 32 * (quarter % 2)), 4 * (quarter / 2), 0);
            _mm256_or_si256(low, bits::<48>(block.add(128 + 32 * half), 2 * quarter, 4))
        }
    }
}

impl SuperBlock for Iq4Xs {
    const BYTES: usize = 136;
    const STORED: Stored = Stored::Signed;
    const CORRECTION: Correction = Correction::None;

    #[inline(always)]
    unsafe fn header(block: *const u8) -> Header {
        // SAFETY: as above.
        unsafe {
            // A scale in each 16-bit lane: its nibble, and the two bits above it.
            let nibbles = in_nibbles(_mm_cvtsi32_si128(block.add(4).cast::<i32>().read_unaligned()));
            let high = _mm_set1_epi16(block.add(2).cast::<i16>().read_unaligned());
            let to_top = _mm_setr_epi16(1 << 14, 1 << 12, 1 << 10, 1 << 8, 1 << 6, 1 << 4, 1 << 2, 1);
            let high = _mm_slli_epi16::<4>(_mm_srli_epi16::<14>(_mm_mullo_epi16(high, to_top)));
            let scales = _mm_or_si128(_mm_cvtepu8_epi16(nibbles), high);
            let scales = _mm_sub_epi16(scales, _mm_set1_epi16(32));
            Header {
                scales: _mm256_broadcastsi128_si256(scales),
                of_sums: _mm256_setzero_si256(),
                factors: halves(u32::from(block.cast::<u16>().read_unaligned())),
            }
        }
    }

    #[inline(always)]
    unsafe fn values(block: *const u8, part: usize) -> __m256i {
        // SAFETY: as above.
        unsafe { looked_up(&IQ4_VALUES, nibbles(block.add(8 + 16 * part))) }
    }
}

/// The bits of 32 bytes from bit `from` on, moved to bit `to` and masked.
#[inline(always)]
pub(super) unsafe fn bits<const MASK: u8>(bytes: *const u8, from: usize, to: usize) -> __m256i {
    // SAFETY: the caller's block has the 32 bytes.
    unsafe {
        let bytes = _mm256_loadu_si256(bytes.cast());
        let moved = if from >= to {
            _mm256_srl_epi16(bytes, _mm_cvtsi32_si128((from - to) as i32))
        } else {
            _mm256_sll_epi16(bytes, _mm_cvtsi32_si128((to - from) as i32))
        };
        _mm256_and_si256(moved, _mm256_set1_epi8(MASK as i8))
    }
}

/// Bytes 0, 2, 4, …, then 1, 3, 5, ….
#[inline(always)]
pub(super) unsafe fn even_then_odd(bytes: __m128i) -> __m128i {
    // SAFETY: AVX2 is the caller's.
    unsafe { _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)) }
}

/// The header Q4_K and Q5_K share.
#[inline(always)]
unsafe fn six_bit_scales(block: *const u8) -> Header {
    // SAFETY: the caller's block has the 16 bytes.
    unsafe {
        let word = |i: usize| block.add(4 + 4 * i).cast::<u32>().read_unaligned();
        let (a, b, c) = (word(0), word(1), word(2));
        let scales_high = (c & 0x0f0f_0f0f) | ((a >> 2) & 0x3030_3030);
        let minimums_high = ((c >> 4) & 0x0f0f_0f0f) | ((b >> 2) & 0x3030_3030);
        let scales = u64::from(a & 0x3f3f_3f3f) | u64::from(scales_high) << 32;
        let minimums = u64::from(b & 0x3f3f_3f3f) | u64::from(minimums_high) << 32;
        Header {
            scales: _mm256_broadcastsi128_si256(_mm_cvtepu8_epi16(_mm_cvtsi64_si128(scales as i64))),
            of_sums: _mm256_castsi128_si256(_mm_cvtepu8_epi16(_mm_cvtsi64_si128(minimums as i64))),
            factors: halves(block.cast::<u32>().read_unaligned()),
        }
    }
}
