//! Blocks of 32 decoded to a tile's rows, four at a time, with the loads of the GEMV.

use std::arch::x86_64::*;

use ascua_gguf::TensorType;

use super::super::{DecodeTile, Tile, Weights};
use super::scaled::{Row, centre, finish};
use super::{InnerProduct, lanes_in_turn};
use crate::matmul::gemv::avx512::blocks32::Block32;
use crate::matmul::gemv::avx512::legacy;
use crate::matmul::gemv::{Scales, Signs};
use crate::matmul::integers::{IntegerFormat, SPAN};

/// Blocks of a tile's row.
const BLOCKS: usize = SPAN / 32;

pub(super) fn decode<D: InnerProduct>(weight: TensorType) -> Option<DecodeTile> {
    Some(match weight {
        TensorType::Q4_0 => decode_blocks::<legacy::Q4_0, D>,
        TensorType::Q4_1 => decode_blocks::<legacy::Q4_1, D>,
        TensorType::Q5_0 => decode_blocks::<legacy::Q5_0, D>,
        TensorType::Q5_1 => decode_blocks::<legacy::Q5_1, D>,
        TensorType::Q8_0 => decode_blocks::<legacy::Q8_0, D>,
        TensorType::IQ4_NL => decode_blocks::<legacy::Iq4Nl<false>, D>,
        TensorType::MXFP4 => decode_blocks::<legacy::Mxfp4, D>,
        _ => return None,
    })
}

/// # Safety
/// As [`DecodeTile`], on a machine with AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn decode_blocks<B: Block32, D: InnerProduct>(format: &IntegerFormat, weights: Weights<'_>, tile: &mut Tile) {
    const {
        assert!(B::GROUPS == 1 && matches!(B::SCALES, Scales::PerGroup), "every 32 values are a block");
        assert!(matches!(B::SIGNS, Signs::InValues), "values are stored with their signs");
    };
    let centre = centre::<D>(format);
    // SAFETY: the caller vouches for the machine.
    unsafe {
        match weights.bytes() / B::BYTES {
            BLOCKS => decode_rows::<B, D>(weights.of_bytes(BLOCKS * B::BYTES), centre, tile),
            _ => decode_rows::<B, D>(weights, centre, tile),
        }
    }
}

#[inline(always)]
unsafe fn decode_rows<B: Block32, D: InnerProduct>(weights: Weights<'_>, centre: i8, tile: &mut Tile) {
    for row in 0..weights.rows {
        // SAFETY: the bytes are whole blocks; the caller vouches for the machine.
        unsafe { finish::<D>(decode_row::<B>(weights.row(row)), centre, 32, true, tile, row) };
    }
}

/// One to eight blocks; in place of those beyond the last it is read again.
#[inline(always)]
unsafe fn decode_row<B: Block32>(bytes: &[u8]) -> Row {
    let blocks = bytes.len() / B::BYTES;
    assert!((1..=BLOCKS).contains(&blocks), "a tile's row has one to eight blocks");
    // SAFETY: the blocks are whole; AVX-512 is the caller's.
    unsafe {
        let block = |i: usize| bytes.as_ptr().add(i.min(blocks - 1) * B::BYTES);
        let (first, second) = ([block(0), block(1), block(2), block(3)], [block(4), block(5), block(6), block(7)]);
        let ([a, b], [c, d]) = (four_blocks::<B>(first), four_blocks::<B>(second));
        let scales = _mm256_set_m128(B::scales(second)[0], B::scales(first)[0]);
        let offsets = _mm256_set_m128(B::offsets(second), B::offsets(first));
        let (scales, offsets) = (_mm512_zextps256_ps512(scales), _mm512_zextps256_ps512(offsets));
        Row { values: [a, b, c, d], scales, offsets }
    }
}

/// The values of four blocks, in order.
#[inline(always)]
unsafe fn four_blocks<B: Block32>(blocks: [*const u8; 4]) -> [__m512i; 2] {
    // SAFETY: the caller's blocks are whole; AVX-512 is the caller's.
    unsafe {
        let [low, high] = B::values(blocks);
        let zero = _mm512_set1_epi8(B::ZERO as i8);
        let (low, high) = (_mm512_sub_epi8(low, zero), _mm512_sub_epi8(high, zero));
        lanes_in_turn(low, high)
    }
}
