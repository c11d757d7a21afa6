//! IQ4_NL: 32 codes of 16 unevenly spaced values and one scale.
//!
//! `x = d * value[q]`, 4.5 bits per weight. The low nibbles are the first half of the block.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::q8_0::{BlockQ80, Q8_0};
use crate::formats::rows_of_32::{self, Eight, LANES};
use crate::groups;
use crate::lanes::Lanes;
use crate::little_endian::LeF16;
use crate::search::{codes, weights};
use crate::tables::IQ4_VALUES;
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The IQ4_NL format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct IQ4_NL;

/// A block of 32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ4NL {
    /// Scale.
    pub d: LeF16,
    /// Codes.
    pub qs: [u8; 16],
}

impl BlockIQ4NL {
    /// The values, in order of element: -127 to 113.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 32] {
        let mut codes = [0; 32];
        groups::split_nibbles(&self.qs, &mut codes);
        codes.map(|code| IQ4_VALUES[usize::from(code)])
    }
}

impl BlockFormat for IQ4_NL {
    const TYPE: TensorType = TensorType::IQ4_NL;
    type Block = BlockIQ4NL;
    type Values = [f32; 32];
    type Partner = Q8_0;
    type Activations = [BlockQ80; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockIQ4NL, out: &mut [f32; 32]) {
        groups::decode_scaled::<32>(&block.quants(), &[block.d.to_f32()], out);
    }

    fn dot_block(block: &BlockIQ4NL, [facing]: &[BlockQ80; 1]) -> f32 {
        facing.d.to_f32() * block.d.to_f32() * groups::dot(&block.quants(), &facing.qs) as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 32]>, out: &mut [BlockIQ4NL]) {
    for (i, out) in out.chunks_mut(LANES).enumerate() {
        let (x, importance) = rows_of_32::eight(row, i);
        out.copy_from_slice(&encode_eight(&x, importance.as_ref())[..out.len()]);
    }
}

#[inline(always)]
fn encode_eight(x: &Eight, importance: Option<&Eight>) -> [BlockIQ4NL; LANES] {
    let weights = match importance {
        None => weights::squares(x),
        Some(importance) => {
            let usual = weights::sums(&weights::squares(x)) * Lanes::splat(2.0 / 32.0);
            weights::with_importance(x, importance, usual)
        }
    };
    let scale = codes::find(x, &weights);
    let inverse = scale.ne(Lanes::ZERO).select(Lanes::splat(1.0) / scale, Lanes::ZERO);
    let codes: [[u8; LANES]; 32] = std::array::from_fn(|i| codes::nearest_codes(inverse * x[i]));
    std::array::from_fn(|block| BlockIQ4NL {
        d: LeF16::from_f32(scale.0[block]),
        qs: std::array::from_fn(|i| codes[i][block] | codes[i + 16][block] << 4),
    })
}
