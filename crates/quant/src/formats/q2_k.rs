//! Q2_K: a super-block of 256 2-bit integers; every 16 have a 4-bit scale and a 4-bit minimum.
//!
//! `x = d * scale * q - dmin * minimum`, 2.625 bits per weight. A byte of `qs` holds four elements 32 apart.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::k_affine::{self, KAffine, PlainWeight, Rules};
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use crate::search::affine::{AffineSearch, ErrorMeasure};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q2_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q2_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ2K {
    /// Scale (low nibble) and minimum (high nibble) of each group of 16.
    pub scales: [u8; 16],
    /// Two bits per element.
    pub qs: [u8; 64],
    /// Scale of the scales.
    pub d: LeF16,
    /// Scale of the minimums.
    pub dmin: LeF16,
}

impl BlockQ2K {
    /// The integers, in order of element: 0 to 3.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        groups::split_pairs(&self.qs)
    }
}

impl BlockFormat for Q2_K {
    const TYPE: TensorType = TensorType::Q2_K;
    type Block = BlockQ2K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ2K, out: &mut [f32; 256]) {
        let (d, dmin) = (block.d.to_f32(), block.dmin.to_f32());
        let scales = block.scales.map(|packed| d * f32::from(packed & 0xF));
        let minimums = block.scales.map(|packed| dmin * f32::from(packed >> 4));
        groups::decode_affine::<16>(&block.quants(), &scales, &minimums, out);
    }

    fn dot_block(block: &BlockQ2K, [facing]: &[BlockQ8K; 1]) -> f32 {
        let scales = block.scales.map(|packed| (packed & 0xF) as i8);
        let product = groups::dot_scaled::<16>(&block.quants(), &scales, &facing.qs);
        let minimums: i32 = block
            .scales
            .iter()
            .zip(facing.bsums)
            .map(|(packed, sum)| i32::from(packed >> 4) * i32::from(sum.get()))
            .sum();
        let d = facing.d.get();
        d * block.d.to_f32() * product as f32 - d * block.dmin.to_f32() * minimums as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockQ2K]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockQ2K {
    const RULES: Rules = Rules {
        plain: AffineSearch { largest: 3.0, first: -0.5, step: 0.1, tries: 16, error: ErrorMeasure::Magnitude },
        weight: PlainWeight::Magnitude,
        usual: 1.0,
        largest_scale: 15.0,
    };
    let KAffine { d, dmin, scales, minimums, quants } = k_affine::encode::<16, 16>(values, importance, RULES);
    let scales = std::array::from_fn(|group| scales[group] | minimums[group] << 4);
    BlockQ2K { scales, qs: groups::join_pairs(&quants), d, dmin }
}
