//! Weight blocks as small integers: 8-bit values with an F32 scale (and, for some types, an offset) per group.
//!
//! The one type-specific step of prompt processing and of the generic kernels: whatever the encoding, a span of a
//! row becomes `weight = scale[group] * value + offset[group]`, exactly. The loops are plain Rust over fixed-size
//! blocks, compiled once per instruction set. Layouts are facts of the GGUF block formats.

mod k_quants;
mod lattice;
mod legacy;
mod lookup;
mod tables;
mod ternary;

#[cfg(target_arch = "x86_64")]
pub(crate) use k_quants::{Iq4Xs, Q2K, Q3K, Q4K, Q5K, Q6K};
pub(crate) use lattice::{IQ1_RAISED, IQ1_SHIFTS, iq1_m_half, joined_points, signed_point};
pub(crate) use legacy::halved_power_of_two;
pub(crate) use tables::{IQ4_VALUES, MXFP4_VALUES};
pub(crate) use ternary::half_of_ue4m3;

use ascua_gguf::TensorType;

use crate::isa::Isa;

/// Largest number of elements one span covers: a super-block.
pub(crate) const SPAN: usize = 256;

/// An encoding whose blocks are small integers times a scale per group of 16 or 32.
pub(crate) trait IntegerBlock {
    /// Elements in a block.
    const LEN: usize;
    /// Bytes of a block.
    const BYTES: usize;
    /// Elements that share a scale: 16 or 32.
    const GROUP: usize;
    /// Whether groups have an offset beside their scale.
    const OFFSETS: Offsets;
    /// Smallest and largest value.
    const RANGE: (i8, i8);

    /// Decodes one block of `BYTES` bytes into `LEN` values and `LEN / GROUP` scales (and offsets, if it has them).
    fn decode(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]);

    /// The same, where the compiler does not find the way with shuffles of sixteen bytes by itself.
    ///
    /// # Safety
    /// The machine has such shuffles: SSSE3 or NEON.
    #[inline(always)]
    unsafe fn decode_shuffled(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
        Self::decode(block, values, scales, offsets);
    }
}

/// An encoding of 256 elements a block whose groups' scales are small integers times a factor of the block.
pub(crate) trait SubScaled: IntegerBlock {
    /// The integers of the scales and, if the encoding has them, those of the offsets; gives their factors.
    fn sub_scales(block: &[u8], sub_scales: &mut [i16], sub_offsets: &mut [i16]) -> SubFactors;
    /// The values.
    fn values(block: &[u8], values: &mut [i8]);
    /// The same, as [`IntegerBlock::decode_shuffled`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn values_shuffled(block: &[u8], values: &mut [i8]) {
        Self::values(block, values);
    }
}

/// What the integers of a block are multiplied with, in half precision.
pub(crate) struct SubFactors {
    pub scales: u16,
    /// Zero where there are no offsets.
    pub offsets: u16,
}

/// [`IntegerBlock::decode`] of such an encoding.
#[inline(always)]
fn decode_sub_scaled<B: SubScaled>(block: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
    decode_scales::<B>(block, scales, offsets);
    B::values(block, values);
}

/// The scales and offsets of such an encoding.
#[inline(always)]
fn decode_scales<B: SubScaled>(block: &[u8], scales: &mut [f32], offsets: &mut [f32]) {
    let (mut sub_scales, mut sub_offsets) = ([0; SPAN / 16], [0; SPAN / 16]);
    let groups = SPAN / B::GROUP;
    let factors = B::sub_scales(block, &mut sub_scales[..groups], &mut sub_offsets[..groups]);
    let (of_scales, of_offsets) = (half_to_f32(factors.scales), half_to_f32(factors.offsets));
    for (scale, sub_scale) in scales.iter_mut().zip(sub_scales) {
        *scale = of_scales * f32::from(sub_scale);
    }
    if B::OFFSETS == Offsets::PerGroup {
        for (offset, sub_offset) in offsets.iter_mut().zip(sub_offsets) {
            *offset = of_offsets * f32::from(sub_offset);
        }
    }
}

/// Whether an encoding adds an offset to each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Offsets {
    /// `weight = scale * value`.
    None,
    /// `weight = scale * value + offset`.
    PerGroup,
}

/// The integer view of a tensor type: geometry and the decoder compiled for one instruction set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IntegerFormat {
    pub block_len: usize,
    pub block_bytes: usize,
    pub group: usize,
    pub offsets: Offsets,
    /// Smallest value a block can hold.
    pub smallest: i8,
    /// Largest value a block can hold.
    pub largest: i8,
    /// Decodes whole blocks.
    ///
    /// Calling it is sound when the machine has the level the format was made for.
    pub decode: DecodeSpan,
}

/// Decodes the whole blocks in the bytes; the other slices have room for their values, scales and offsets.
pub(crate) type DecodeSpan = unsafe fn(&[u8], &mut [i8], &mut [f32], &mut [f32]);

impl IntegerFormat {
    /// Whether blocks fill a span: then activations share a scale in it.
    pub fn has_super_blocks(&self) -> bool {
        self.block_len == SPAN
    }

    /// The integer view of `weight`; `None` for plain numbers.
    pub fn of(weight: TensorType, isa: Isa) -> Option<IntegerFormat> {
        Some(match weight {
            TensorType::Q4_0 => format::<legacy::Q4_0>(isa),
            TensorType::Q4_1 => format::<legacy::Q4_1>(isa),
            TensorType::Q5_0 => format::<legacy::Q5_0>(isa),
            TensorType::Q5_1 => format::<legacy::Q5_1>(isa),
            TensorType::Q8_0 => format::<legacy::Q8_0>(isa),
            TensorType::IQ4_NL => format::<legacy::Iq4Nl>(isa),
            TensorType::MXFP4 => format::<legacy::Mxfp4>(isa),
            TensorType::Q2_K => format::<k_quants::Q2K>(isa),
            TensorType::Q3_K => format::<k_quants::Q3K>(isa),
            TensorType::Q4_K => format::<k_quants::Q4K>(isa),
            TensorType::Q5_K => format::<k_quants::Q5K>(isa),
            TensorType::Q6_K => format::<k_quants::Q6K>(isa),
            TensorType::IQ4_XS => format::<k_quants::Iq4Xs>(isa),
            TensorType::Q8_1 => format::<legacy::Q8_1>(isa),
            TensorType::Q8_K => format::<legacy::Q8K>(isa),
            TensorType::TQ1_0 => format::<ternary::Tq1_0>(isa),
            TensorType::TQ2_0 => format::<ternary::Tq2_0>(isa),
            TensorType::Q1_0 => format::<ternary::Q1_0>(isa),
            TensorType::Q2_0 => format::<ternary::Q2_0>(isa),
            TensorType::NVFP4 => format::<ternary::Nvfp4>(isa),
            TensorType::IQ1_S => format::<lattice::Iq1S>(isa),
            TensorType::IQ1_M => format::<lattice::Iq1M>(isa),
            TensorType::IQ2_XXS => format::<lattice::Iq2Xxs>(isa),
            TensorType::IQ2_XS => format::<lattice::Iq2Xs>(isa),
            TensorType::IQ2_S => format::<lattice::Iq2S>(isa),
            TensorType::IQ3_XXS => format::<lattice::Iq3Xxs>(isa),
            TensorType::IQ3_S => format::<lattice::Iq3S>(isa),
            _ => return None,
        })
    }

    /// Decodes the whole blocks of `bytes` to floats, through the caller's integer buffers.
    ///
    /// # Safety
    /// The machine has the level the format was made for.
    #[inline(always)]
    pub unsafe fn decode_floats(&self, bytes: &[u8], out: &mut [f32]) {
        let mut values = [0i8; SPAN];
        let mut scales = [0f32; SPAN / 16];
        let mut offsets = [0f32; SPAN / 16];
        let blocks_per_span = SPAN / self.block_len;
        let spans = bytes.chunks(blocks_per_span * self.block_bytes);
        for (bytes, out) in spans.zip(out.chunks_mut(blocks_per_span * self.block_len)) {
            // SAFETY: the caller vouches for the instruction set.
            unsafe { (self.decode)(bytes, &mut values, &mut scales, &mut offsets) };
            for (group, out) in out.chunks_mut(self.group).enumerate() {
                let scale = scales[group];
                let offset = match self.offsets {
                    Offsets::None => 0.0,
                    Offsets::PerGroup => offsets[group],
                };
                for (out, value) in out.iter_mut().zip(&values[group * self.group..]) {
                    *out = scale * f32::from(*value) + offset;
                }
            }
        }
    }
}

fn format<B: IntegerBlock>(isa: Isa) -> IntegerFormat {
    let decode: DecodeSpan = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Zen4 => decode_span_avx512::<B>,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => decode_span_avx2::<B>,
        #[cfg(target_arch = "x86_64")]
        Isa::Sse41 => decode_span_sse41::<B>,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::DotProd | Isa::I8mm => decode_span_neon::<B>,
        _ => decode_span_scalar::<B>,
    };
    IntegerFormat {
        block_len: B::LEN,
        block_bytes: B::BYTES,
        group: B::GROUP,
        offsets: B::OFFSETS,
        smallest: B::RANGE.0,
        largest: B::RANGE.1,
        decode,
    }
}

#[inline(always)]
fn decode_span<B: IntegerBlock>(
    bytes: &[u8],
    values: &mut [i8],
    scales: &mut [f32],
    offsets: &mut [f32],
    decode: impl Fn(&[u8], &mut [i8], &mut [f32], &mut [f32]),
) {
    let groups = B::LEN / B::GROUP;
    let groups_out = scales.chunks_exact_mut(groups).zip(offsets.chunks_exact_mut(groups));
    for ((block, values), (scales, offsets)) in
        bytes.chunks_exact(B::BYTES).zip(values.chunks_exact_mut(B::LEN)).zip(groups_out)
    {
        decode(block, values, scales, offsets);
    }
}

unsafe fn decode_span_scalar<B: IntegerBlock>(b: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
    decode_span::<B>(b, values, scales, offsets, B::decode);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn decode_span_avx2<B: IntegerBlock>(b: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
    // SAFETY: the caller's machine has AVX2, and so SSSE3.
    decode_span::<B>(b, values, scales, offsets, |b, v, s, o| unsafe { B::decode_shuffled(b, v, s, o) });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn decode_span_avx512<B: IntegerBlock>(b: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
    // SAFETY: the caller's machine has AVX-512, and so SSSE3.
    decode_span::<B>(b, values, scales, offsets, |b, v, s, o| unsafe { B::decode_shuffled(b, v, s, o) });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn decode_span_sse41<B: IntegerBlock>(b: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
    // SAFETY: the caller's machine has SSSE3.
    decode_span::<B>(b, values, scales, offsets, |b, v, s, o| unsafe { B::decode_shuffled(b, v, s, o) });
}

#[cfg(target_arch = "aarch64")]
unsafe fn decode_span_neon<B: IntegerBlock>(b: &[u8], values: &mut [i8], scales: &mut [f32], offsets: &mut [f32]) {
    // SAFETY: every 64-bit Arm processor has NEON.
    decode_span::<B>(b, values, scales, offsets, |b, v, s, o| unsafe { B::decode_shuffled(b, v, s, o) });
}

/// The F32 value of a half-precision number, also where subnormal F32 operands are flushed to zero.
#[inline(always)]
pub(crate) fn half_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let sign = u32::from(bits & 0x8000) << 16;
    let value = if magnitude < 0x0400 {
        (magnitude as f32 * f32::from_bits(0x3380_0000)).to_bits() // subnormal: times 2^-24
    } else if magnitude < 0x7c00 {
        (magnitude << 13) + (112 << 23) // exponent bias 15 to 127
    } else {
        (magnitude << 13) | 0x7f80_0000
    };
    f32::from_bits(value | sign)
}

/// Reads a little-endian half-precision number at `at`.
#[inline(always)]
fn half_at(block: &[u8], at: usize) -> f32 {
    half_to_f32(half_bits_at(block, at))
}

/// The bits of one.
#[inline(always)]
fn half_bits_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

#[cfg(test)]
mod tests {
    use ascua_gguf::TensorType;

    use super::{IntegerFormat, SPAN, half_to_f32};
    use crate::isa::Isa;

    /// Kernels that add weights to activations rely on it.
    #[test]
    fn values_of_any_bytes_are_within_their_range() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for isa in Isa::available() {
            for (weight, format) in TensorType::ALL.iter().filter_map(|t| Some((t, IntegerFormat::of(*t, isa)?))) {
                let (mut values, mut scales, mut offsets) = ([0i8; SPAN], [0f32; SPAN / 16], [0f32; SPAN / 16]);
                for _ in 0..500 {
                    let bytes: Vec<u8> = (0..format.block_bytes).map(|_| random()).collect();
                    // SAFETY: the machine has the level.
                    unsafe { (format.decode)(&bytes, &mut values, &mut scales, &mut offsets) };
                    for value in &values[..format.block_len] {
                        assert!((format.smallest..=format.largest).contains(value), "{weight} at {isa}: {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn halves_convert_like_the_half_crate() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits).to_f32();
            let found = half_to_f32(bits);
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{bits:#06x}");
        }
    }
}
