//! The encoders, compiled for several instruction sets: the only `unsafe` of this crate.
//!
//! An encoder is plain code whose loops the compiler vectorises ([`crate::lanes`]); here it is compiled once for each
//! level, and the best one the machine has is called. No level changes a result: all arithmetic is that of single
//! floats, without fused operations.

use crate::block_format::{BlockFormat, Row};

/// Encodes a row with the best instructions there are; nothing happens where the format has no encoder.
pub(crate) fn encode<F: BlockFormat>(row: Row<'_, F::Values>, out: &mut [F::Block]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the machine has the features the function is compiled for.
            return unsafe { encode_avx512::<F>(row, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { encode_avx2::<F>(row, out) };
        }
    }
    encode_plain::<F>(row, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn encode_avx512<F: BlockFormat>(row: Row<'_, F::Values>, out: &mut [F::Block]) {
    encode_plain::<F>(row, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2<F: BlockFormat>(row: Row<'_, F::Values>, out: &mut [F::Block]) {
    encode_plain::<F>(row, out);
}

#[inline(always)]
fn encode_plain<F: BlockFormat>(row: Row<'_, F::Values>, out: &mut [F::Block]) {
    if let Some(encode) = F::ENCODE {
        encode(row, out);
    }
}
