//! Blocks of 32 decoded to a tile's rows, four at a time, with the loads of the GEMV.

use std::arch::x86_64::*;

use ascua_gguf::TensorType;

use super::super::{DecodeRow, TileRow};
use crate::matmul::gemv::avx512::blocks32::{Block32, Scales};
use crate::matmul::gemv::avx512::legacy;
use crate::matmul::integers::{IntegerFormat, SPAN};

pub(super) fn decoder(weight: TensorType) -> Option<DecodeRow> {
    Some(match weight {
        TensorType::Q4_0 => decode::<legacy::Q4_0>,
        TensorType::Q4_1 => decode::<legacy::Q4_1>,
        TensorType::Q5_0 => decode::<legacy::Q5_0>,
        TensorType::Q5_1 => decode::<legacy::Q5_1>,
        TensorType::Q8_0 => decode::<legacy::Q8_0>,
        TensorType::IQ4_NL => decode::<legacy::Iq4Nl>,
        TensorType::MXFP4 => decode::<legacy::Mxfp4>,
        _ => return None,
    })
}

/// # Safety
/// As [`DecodeRow`]: the bytes are one to eight whole blocks, the machine has AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn decode<B: Block32>(_: &IntegerFormat, bytes: &[u8], row: &mut TileRow<'_>) {
    const { assert!(B::GROUPS == 1 && matches!(B::SCALES, Scales::PerGroup), "every 32 values are a block") };
    let blocks = bytes.len() / B::BYTES;
    assert!((1..=SPAN / 32).contains(&blocks), "a tile's row has one to eight blocks");
    let natural = |first| _mm512_add_epi64(_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_set1_epi64(first));
    let zero = _mm512_set1_epi8(B::ZERO as i8);
    for first in (0..blocks).step_by(4) {
        // In place of blocks beyond the last one it is read again; those columns are not in use.
        let block = |i: usize| bytes[(first + i).min(blocks - 1) * B::BYTES..][..B::BYTES].as_ptr();
        // SAFETY: the blocks are whole, and the row has room for eight.
        unsafe {
            let blocks = [block(0), block(1), block(2), block(3)];
            let [low, high] = B::values(blocks);
            let (low, high) = (_mm512_sub_epi8(low, zero), _mm512_sub_epi8(high, zero));
            let values = row.values.as_mut_ptr().add(32 * first);
            _mm512_storeu_si512(values.cast(), _mm512_permutex2var_epi64(low, natural(0), high));
            _mm512_storeu_si512(values.add(64).cast(), _mm512_permutex2var_epi64(low, natural(4), high));
            _mm_storeu_ps(row.scales.as_mut_ptr().add(first), B::scales(blocks)[0]);
            _mm_storeu_ps(row.offsets.as_mut_ptr().add(first), B::offsets(blocks));
        }
    }
}
