//! IQ4_XS: a super-block of 256 codes of 16 unevenly spaced values; every 32 have a signed 6-bit scale.
//!
//! `x = d * (scale - 32) * value[q]`, 4.25 bits per weight. In each group the low nibbles are the first half.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::extremes;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::lanes::{Lanes, transpose};
use crate::little_endian::{LeF16, LeU16};
use crate::search::{codes, weights};
use crate::tables::IQ4_VALUES;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ4_XS format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ4_XS;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ4XS {
    /// Scale of the scales.
    pub d: LeF16,
    /// Upper two bits of each scale.
    pub scales_h: LeU16,
    /// Low four bits of each scale.
    pub scales_l: [u8; 4],
    /// Codes.
    pub qs: [u8; 128],
}

impl BlockIQ4XS {
    /// The values, in order of element: -127 to 113.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        let mut codes = [0; 256];
        for (packed, codes) in self.qs.as_chunks::<16>().0.iter().zip(codes.as_chunks_mut::<32>().0) {
            groups::split_nibbles(packed, codes);
        }
        codes.map(|code| IQ4_VALUES[usize::from(code)])
    }

    /// The scale of each group of 32: -32 to 31.
    #[inline(always)]
    pub fn group_scales(&self) -> [i8; 8] {
        let upper = self.scales_h.get();
        std::array::from_fn(|group| {
            let low = self.scales_l[group / 2] >> (group % 2 * 4) & 0xF;
            let high = (upper >> (2 * group) & 3) as u8;
            (low | high << 4) as i8 - 32
        })
    }
}

impl BlockFormat for IQ4_XS {
    const TYPE: TensorType = TensorType::IQ4_XS;
    type Block = BlockIQ4XS;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ4XS, out: &mut [f32; 256]) {
        let d = block.d.to_f32();
        let scales = block.group_scales().map(|scale| d * f32::from(scale));
        groups::decode_scaled::<32>(&block.quants(), &scales, out);
    }

    fn dot_block(block: &BlockIQ4XS, [facing]: &[BlockQ8K; 1]) -> f32 {
        let product = groups::dot_scaled::<32>(&block.quants(), &block.group_scales(), &facing.qs);
        block.d.to_f32() * facing.d.get() * product as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockIQ4XS]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

/// The scale farthest from zero becomes -32.
#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockIQ4XS {
    let x: [Lanes<8>; 32] = transpose(values);
    let weights = match importance {
        None => weights::squares(&x),
        Some(importance) => {
            let usual = Lanes::splat(weights::sum_of_squares(values) * (2.0 / 256.0));
            weights::with_importance(&x, &transpose(importance), usual)
        }
    };
    let scales = codes::find(&x, &weights);
    let d = -extremes::farthest_from_zero(&scales.0) / 32.0;
    let scales = (scales * Lanes::splat(extremes::inverse(d))).round().clamp(-32.0, 31.0);
    let inverse = (Lanes::splat(d) * scales).map(extremes::inverse);
    let mut qs = [0; 128];
    for i in 0..16 {
        let (low, high) = (codes::nearest_codes(inverse * x[i]), codes::nearest_codes(inverse * x[i + 16]));
        for group in 0..8 {
            qs[16 * group + i] = low[group] | high[group] << 4;
        }
    }
    let scales = scales.0.map(|scale| (scale + 32.0) as u8);
    let upper = scales.iter().enumerate().fold(0, |bits, (i, scale)| bits | u16::from(scale >> 4) << (2 * i));
    BlockIQ4XS {
        d: LeF16::from_f32(d),
        scales_h: LeU16::new(upper),
        scales_l: std::array::from_fn(|i| scales[2 * i] & 0xF | scales[2 * i + 1] << 4),
        qs,
    }
}
