//! The super-blocks of 256 elements with integer sub-block scales: Q2_K to Q6_K and IQ4_XS.

use super::tables::IQ4_VALUES;
use super::{IntegerBlock, Offsets, SubFactors, SubScaled, decode_scales, decode_sub_scaled, half_bits_at};

pub(crate) struct Q2K;
pub(crate) struct Q3K;
pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;
pub(crate) struct Iq4Xs;

/// The low nibbles of eight bytes.
const NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;

/// The sign of a half-precision number: minimums are stored without.
const SIGN: u16 = 0x8000;

impl IntegerBlock for Q2K {
    const LEN: usize = 256;
    const BYTES: usize = 84;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::PerGroup;
    const RANGE: (i8, i8) = (0, 3);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_sub_scaled::<Self>(block, values, scales, offsets);
    }
}

impl SubScaled for Q2K {
    #[inline(always)]
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], sub_offsets: &mut [i16]) -> SubFactors {
        for group in 0..16 {
            sub_scales[group] = i16::from(block[group] & 15);
            sub_offsets[group] = i16::from(block[group] >> 4);
        }
        SubFactors { scales: half_bits_at(block, 80), offsets: half_bits_at(block, 82) ^ SIGN }
    }

    #[inline(always)]
    fn values(block: &[u8], values: &mut [i8]) {
        for (half, bytes) in block[16..80].chunks_exact(32).enumerate() {
            for shift in 0..4 {
                let values = &mut values[half * 128 + shift * 32..][..32];
                for (value, byte) in values.iter_mut().zip(bytes) {
                    *value = ((byte >> (2 * shift)) & 3) as i8;
                }
            }
        }
    }
}

impl IntegerBlock for Q3K {
    const LEN: usize = 256;
    const BYTES: usize = 110;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-4, 3);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_sub_scaled::<Self>(block, values, scales, offsets);
    }
}

impl SubScaled for Q3K {
    #[inline(always)]
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], _sub_offsets: &mut [i16]) -> SubFactors {
        let packed = &block[96..108];
        for (eight, sub_scales) in sub_scales.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (i, sub_scale) in sub_scales.iter_mut().enumerate() {
                let low = (packed[i] >> (4 * eight)) & 15;
                let high = (packed[8 + i % 4] >> (2 * (2 * eight + i / 4))) & 3;
                *sub_scale = i16::from(low | (high << 4)) - 32;
            }
        }
        SubFactors { scales: half_bits_at(block, 108), offsets: 0 }
    }

    #[inline(always)]
    fn values(block: &[u8], values: &mut [i8]) {
        let high = &block[..32];
        for (half, bytes) in block[32..96].chunks_exact(32).enumerate() {
            for shift in 0..4 {
                let values = &mut values[half * 128 + shift * 32..][..32];
                for ((value, byte), high) in values.iter_mut().zip(bytes).zip(high) {
                    let set = (high >> (half * 4 + shift)) & 1;
                    *value = (((byte >> (2 * shift)) & 3) | (set << 2)) as i8 - 4;
                }
            }
        }
    }
}

impl IntegerBlock for Q4K {
    const LEN: usize = 256;
    const BYTES: usize = 144;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::PerGroup;
    const RANGE: (i8, i8) = (0, 15);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_sub_scaled::<Self>(block, values, scales, offsets);
    }
}

impl SubScaled for Q4K {
    #[inline(always)]
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], sub_offsets: &mut [i16]) -> SubFactors {
        six_bit_scales(block, sub_scales, sub_offsets)
    }

    #[inline(always)]
    fn values(block: &[u8], values: &mut [i8]) {
        for (bytes, values) in block[16..144].chunks_exact(32).zip(values.chunks_exact_mut(64)) {
            let (low, high) = values.split_at_mut(32);
            let eights = low.as_chunks_mut().0.iter_mut().zip(high.as_chunks_mut().0);
            for (eight, (low, high)) in bytes.as_chunks().0.iter().zip(eights) {
                // Eight at once: the compiler does not always find the vectors in a loop over bytes.
                let both = u64::from_le_bytes(*eight);
                *low = (both & NIBBLES).to_le_bytes().map(|value| value as i8);
                *high = (both >> 4 & NIBBLES).to_le_bytes().map(|value| value as i8);
            }
        }
    }
}

impl IntegerBlock for Q5K {
    const LEN: usize = 256;
    const BYTES: usize = 176;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::PerGroup;
    const RANGE: (i8, i8) = (0, 31);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_sub_scaled::<Self>(block, values, scales, offsets);
    }
}

impl SubScaled for Q5K {
    #[inline(always)]
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], sub_offsets: &mut [i16]) -> SubFactors {
        six_bit_scales(block, sub_scales, sub_offsets)
    }

    #[inline(always)]
    fn values(block: &[u8], values: &mut [i8]) {
        let fifth = &block[16..48];
        for (chunk, (bytes, values)) in block[48..176].chunks_exact(32).zip(values.chunks_exact_mut(64)).enumerate() {
            let (low, high) = values.split_at_mut(32);
            for (i, byte) in bytes.iter().enumerate() {
                let bits = fifth[i] >> (2 * chunk);
                low[i] = ((byte & 15) | ((bits & 1) << 4)) as i8;
                high[i] = ((byte >> 4) | ((bits & 2) << 3)) as i8;
            }
        }
    }
}

impl IntegerBlock for Q6K {
    const LEN: usize = 256;
    const BYTES: usize = 210;
    const GROUP: usize = 16;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-32, 31);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_sub_scaled::<Self>(block, values, scales, offsets);
    }
}

impl SubScaled for Q6K {
    #[inline(always)]
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], _sub_offsets: &mut [i16]) -> SubFactors {
        for (sub_scale, byte) in sub_scales.iter_mut().zip(&block[192..208]) {
            *sub_scale = i16::from(*byte as i8);
        }
        SubFactors { scales: half_bits_at(block, 208), offsets: 0 }
    }

    #[inline(always)]
    fn values(block: &[u8], values: &mut [i8]) {
        let (low, rest) = block.split_at(128);
        let high = &rest[..64];
        for ((low, high), values) in low.chunks_exact(64).zip(high.chunks_exact(32)).zip(values.chunks_exact_mut(128)) {
            for i in 0..32 {
                values[i] = ((low[i] & 15) | ((high[i] & 3) << 4)) as i8 - 32;
                values[i + 32] = ((low[i + 32] & 15) | ((high[i] & 12) << 2)) as i8 - 32;
                values[i + 64] = ((low[i] >> 4) | (high[i] & 48)) as i8 - 32;
                values[i + 96] = ((low[i + 32] >> 4) | ((high[i] >> 2) & 48)) as i8 - 32;
            }
        }
    }
}

impl IntegerBlock for Iq4Xs {
    const LEN: usize = 256;
    const BYTES: usize = 136;
    const GROUP: usize = 32;
    const OFFSETS: Offsets = Offsets::None;
    const RANGE: (i8, i8) = (-127, 113);

    #[inline(always)]
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_sub_scaled::<Self>(block, values, scales, offsets);
    }

    #[inline(always)]
    unsafe fn decode_shuffled(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        decode_scales::<Self>(block, scales, offsets);
        // SAFETY: the caller's machine has byte shuffles.
        unsafe { Self::values_shuffled(block, values) };
    }
}

impl SubScaled for Iq4Xs {
    #[inline(always)]
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], _sub_offsets: &mut [i16]) -> SubFactors {
        let high = u16::from_le_bytes([block[2], block[3]]);
        for (group, sub_scale) in sub_scales.iter_mut().enumerate() {
            let low = (block[4 + group / 2] >> (4 * (group % 2))) & 15;
            *sub_scale = (i16::from(low) | (((high >> (2 * group)) & 3) << 4) as i16) - 32;
        }
        SubFactors { scales: half_bits_at(block, 0), offsets: 0 }
    }

    #[inline(always)]
    fn values(block: &[u8], values: &mut [i8]) {
        for (bytes, values) in block[8..136].chunks_exact(16).zip(values.chunks_exact_mut(32)) {
            let (low, high) = values.split_at_mut(16);
            for (i, byte) in bytes.iter().enumerate() {
                low[i] = IQ4_VALUES[usize::from(byte & 15)];
                high[i] = IQ4_VALUES[usize::from(byte >> 4)];
            }
        }
    }

    #[inline(always)]
    unsafe fn values_shuffled(block: &[u8], values: &mut [i8]) {
        for (bytes, values) in block[8..136].chunks_exact(16).zip(values.chunks_exact_mut(32)) {
            // SAFETY: the caller's machine has byte shuffles.
            unsafe { super::lookup::nibbles::<16>(&IQ4_VALUES, bytes, values) };
        }
    }
}

/// The eight 6-bit scales and minimums that Q4_K and Q5_K pack into 12 bytes.
#[inline(always)]
fn six_bit_scales(block: &[u8], sub_scales: &mut [i16], sub_offsets: &mut [i16]) -> SubFactors {
    let packed = &block[4..16];
    for group in 0..4 {
        sub_scales[group] = i16::from(packed[group] & 63);
        sub_offsets[group] = i16::from(packed[group + 4] & 63);
        sub_scales[group + 4] = i16::from((packed[group + 8] & 15) | ((packed[group] >> 6) << 4));
        sub_offsets[group + 4] = i16::from((packed[group + 8] >> 4) | ((packed[group + 4] >> 6) << 4));
    }
    SubFactors { scales: half_bits_at(block, 0), offsets: half_bits_at(block, 2) ^ SIGN }
}
