//! How the blocks of 32 are read: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL and MXFP4.

use std::arch::x86_64::*;

use super::super::Signs;
use super::blocks32::Block32;
use crate::matmul::integers::{IQ4_VALUES, MXFP4_VALUES, Offsets};

pub(in crate::matmul) struct Q4_0;
pub(in crate::matmul) struct Q4_1;
pub(in crate::matmul) struct Q5_0;
pub(in crate::matmul) struct Q5_1;
pub(in crate::matmul) struct Q8_0;
/// Where products are added by pairs, of magnitudes and signs.
pub(in crate::matmul) struct Iq4Nl<const BY_PAIRS: bool>;
pub(in crate::matmul) struct Mxfp4;

// SAFETY of every block below: the frame passes pointers to four whole blocks, and runs with AVX-512.

impl Block32 for Q4_0 {
    const BYTES: usize = 18;
    const ZERO: u8 = 8;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe { nibbles(gather16::<2>(blocks)) }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe { [halves::<0>(blocks); 2] }
    }
}

impl Block32 for Q4_1 {
    const BYTES: usize = 20;
    const ZERO: u8 = 0;
    const OFFSETS: Offsets = Offsets::PerGroup;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe { nibbles(gather16::<4>(blocks)) }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe { [halves::<0>(blocks); 2] }
    }

    #[inline(always)]
    unsafe fn offsets(blocks: [*const u8; 4]) -> __m128 {
        // SAFETY: as above.
        unsafe { halves::<2>(blocks) }
    }
}

impl Block32 for Q5_0 {
    const BYTES: usize = 22;
    const ZERO: u8 = 16;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe { with_fifth_bits::<2>(blocks, nibbles(gather16::<6>(blocks))) }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe { [halves::<0>(blocks); 2] }
    }
}

impl Block32 for Q5_1 {
    const BYTES: usize = 24;
    const ZERO: u8 = 0;
    const OFFSETS: Offsets = Offsets::PerGroup;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe { with_fifth_bits::<4>(blocks, nibbles(gather16::<8>(blocks))) }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe { [halves::<0>(blocks); 2] }
    }

    #[inline(always)]
    unsafe fn offsets(blocks: [*const u8; 4]) -> __m128 {
        // SAFETY: as above.
        unsafe { halves::<2>(blocks) }
    }
}

impl Block32 for Q8_0 {
    const BYTES: usize = 34;
    const ZERO: u8 = 128;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe {
            let flip = _mm512_set1_epi8(-128);
            [_mm512_xor_si512(gather16::<2>(blocks), flip), _mm512_xor_si512(gather16::<18>(blocks), flip)]
        }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe { [halves::<0>(blocks); 2] }
    }
}

impl<const BY_PAIRS: bool> Block32 for Iq4Nl<BY_PAIRS> {
    const BYTES: usize = 18;
    const ZERO: u8 = if BY_PAIRS { 0 } else { 128 };
    const SIGNS: Signs = if BY_PAIRS { Signs::Apart } else { Signs::InValues };
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        let table = iq4_table::<BY_PAIRS>();
        // SAFETY: as above.
        unsafe { looked_up(nibbles(gather16::<2>(blocks)), table) }
    }

    #[inline(always)]
    unsafe fn signs(blocks: [*const u8; 4]) -> [u64; 2] {
        if !BY_PAIRS {
            return [0; 2];
        }
        // SAFETY: as above. The first half of the table is negative.
        unsafe {
            let codes = gather16::<2>(blocks);
            let (low, high) = (_mm512_set1_epi8(0x08), _mm512_set1_epi8(0x80_u8 as i8));
            [_mm512_testn_epi8_mask(codes, low), _mm512_testn_epi8_mask(codes, high)]
        }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        // SAFETY: as above.
        unsafe { [halves::<0>(blocks); 2] }
    }
}

impl Block32 for Mxfp4 {
    const BYTES: usize = 17;
    const ZERO: u8 = 12;
    const OFFSETS: Offsets = Offsets::None;

    #[inline(always)]
    unsafe fn values(blocks: [*const u8; 4]) -> [__m512i; 2] {
        // SAFETY: as above.
        unsafe { looked_up(nibbles(gather16::<1>(blocks)), &const { unsigned(MXFP4_VALUES, 12) }) }
    }

    #[inline(always)]
    unsafe fn scales(blocks: [*const u8; 4]) -> [__m128; 2] {
        use crate::matmul::integers::halved_power_of_two as scale;
        // SAFETY: as above.
        unsafe { [_mm_setr_ps(scale(*blocks[0]), scale(*blocks[1]), scale(*blocks[2]), scale(*blocks[3])); 2] }
    }
}

/// The 16 bytes at `AT` of four blocks, one lane each.
#[inline(always)]
unsafe fn gather16<const AT: usize>(blocks: [*const u8; 4]) -> __m512i {
    // SAFETY: the caller's blocks have these bytes.
    unsafe {
        let lane = |i: usize| _mm_loadu_si128(blocks[i].add(AT).cast());
        let low = _mm512_castsi128_si512(lane(0));
        let low = _mm512_inserti32x4::<1>(low, lane(1));
        _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, lane(2)), lane(3))
    }
}

#[inline(always)]
pub(super) unsafe fn nibbles(bytes: __m512i) -> [__m512i; 2] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let low = _mm512_set1_epi8(15);
        [_mm512_and_si512(bytes, low), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), low)]
    }
}

/// Sets bit 4 from the 32 bits at `AT` of each block.
#[inline(always)]
unsafe fn with_fifth_bits<const AT: usize>(blocks: [*const u8; 4], [low, high]: [__m512i; 2]) -> [__m512i; 2] {
    // SAFETY: the caller's blocks have these bytes.
    unsafe {
        let bits = |i: usize, half: usize| u64::from(blocks[i].add(AT + 2 * half).cast::<u16>().read_unaligned());
        let mask = |half| bits(0, half) | bits(1, half) << 16 | bits(2, half) << 32 | bits(3, half) << 48;
        let sixteen = _mm512_set1_epi8(16);
        [_mm512_mask_add_epi8(low, mask(0), low, sixteen), _mm512_mask_add_epi8(high, mask(1), high, sixteen)]
    }
}

/// The half-precision number at `AT` of four blocks.
#[inline(always)]
unsafe fn halves<const AT: usize>(blocks: [*const u8; 4]) -> __m128 {
    // SAFETY: the caller's blocks have these bytes.
    unsafe {
        let bits = |i: usize| u64::from(blocks[i].add(AT).cast::<u16>().read_unaligned());
        let four = bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48;
        _mm_cvtph_ps(_mm_cvtsi64_si128(four as i64))
    }
}

#[inline(always)]
pub(super) unsafe fn looked_up([low, high]: [__m512i; 2], table: &[u8; 16]) -> [__m512i; 2] {
    // SAFETY: AVX-512 is the caller's.
    unsafe {
        let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
        [_mm512_shuffle_epi8(table, low), _mm512_shuffle_epi8(table, high)]
    }
}

/// The values of the IQ4 types as they are multiplied: raised by 128, or where products are added by pairs their magnitudes.
#[inline(always)]
pub(super) fn iq4_table<const BY_PAIRS: bool>() -> &'static [u8; 16] {
    if BY_PAIRS { &const { magnitudes(IQ4_VALUES) } } else { &const { unsigned(IQ4_VALUES, 128) } }
}

/// The magnitudes of values of which the first half is negative.
const fn magnitudes(values: [i8; 16]) -> [u8; 16] {
    let mut magnitudes = [0; 16];
    let mut i = 0;
    while i < 16 {
        assert!((values[i] < 0) == (i < 8));
        magnitudes[i] = values[i].unsigned_abs();
        i += 1;
    }
    magnitudes
}

/// A table of signed values, raised to be unsigned.
pub(super) const fn unsigned(values: [i8; 16], zero: i32) -> [u8; 16] {
    let mut out = [0; 16];
    let mut i = 0;
    while i < 16 {
        out[i] = (values[i] as i32 + zero) as u8;
        i += 1;
    }
    out
}
