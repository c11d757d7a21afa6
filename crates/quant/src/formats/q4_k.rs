//! Q4_K: a super-block of 256 4-bit integers; every 32 have a 6-bit scale and a 6-bit minimum.
//!
//! `x = d * scale * q - dmin * minimum`, 4.5 bits per weight. Of every 32 bytes of `qs` the low nibbles are one group, the
//! high nibbles the next.

use crate::block_format::{BlockFormat, Encode, Row};
use crate::formats::k_affine::{self, KAffine, PlainWeight, Rules};
use crate::formats::k_scales;
use crate::formats::q8_k::{BlockQ8K, Q8_K};
use crate::groups;
use crate::little_endian::LeF16;
use crate::search::affine::{AffineSearch, ErrorMeasure};
use ascua_gguf::TensorType;
use bytemuck::{Pod, Zeroable};

/// The Q4_K format.
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct Q4_K;

/// A block of 256 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ4K {
    /// Scale of the scales.
    pub d: LeF16,
    /// Scale of the minimums.
    pub dmin: LeF16,
    /// Eight scales and eight minimums: see [`k_scales::unpack`].
    pub scales: [u8; 12],
    /// Nibbles.
    pub qs: [u8; 128],
}

impl BlockQ4K {
    /// The integers, in order of element: 0 to 15.
    #[inline(always)]
    pub fn quants(&self) -> [i8; 256] {
        groups::split_nibble_groups(&self.qs)
    }
}

impl BlockFormat for Q4_K {
    const TYPE: TensorType = TensorType::Q4_K;
    type Block = BlockQ4K;
    type Values = [f32; 256];
    type Partner = Q8_K;
    type Activations = [BlockQ8K; 1];

    const ENCODE: Option<Encode<Self>> = Some(encode);

    fn decode_block(block: &BlockQ4K, out: &mut [f32; 256]) {
        let (d, dmin) = (block.d.to_f32(), block.dmin.to_f32());
        let groups = k_scales::unpack(&block.scales);
        let scales = groups.scales.map(|scale| d * f32::from(scale));
        let minimums = groups.minimums.map(|minimum| dmin * f32::from(minimum));
        groups::decode_affine::<32>(&block.quants(), &scales, &minimums, out);
    }

    fn dot_block(block: &BlockQ4K, [facing]: &[BlockQ8K; 1]) -> f32 {
        let groups = k_scales::unpack(&block.scales);
        let product = groups::dot_scaled::<32>(&block.quants(), &groups.scales, &facing.qs);
        let minimums = groups.dot_minimums(&facing.bsums);
        let d = facing.d.get();
        d * block.d.to_f32() * product as f32 - d * block.dmin.to_f32() * minimums as f32
    }
}

#[inline(always)]
fn encode(row: Row<'_, [f32; 256]>, out: &mut [BlockQ4K]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (values, importance) = row.block(i);
        *out = encode_block(values, importance);
    }
}

#[inline(always)]
fn encode_block(values: &[f32; 256], importance: Option<&[f32; 256]>) -> BlockQ4K {
    const RULES: Rules = Rules {
        plain: AffineSearch { largest: 15.0, first: -1.0, step: 0.1, tries: 21, error: ErrorMeasure::Square },
        weight: PlainWeight::MagnitudeAndUsual,
        usual: 2.0,
        largest_scale: 63.0,
    };
    let KAffine { d, dmin, scales, minimums, quants } = k_affine::encode::<8, 32>(values, importance, RULES);
    BlockQ4K { d, dmin, scales: k_scales::pack(&scales, &minimums), qs: groups::join_nibble_groups(&quants) }
}
