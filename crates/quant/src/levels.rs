//! The encoders, compiled for several instruction sets. Their calls here, and that of [`crate::search::nearest`], are the
//! only `unsafe` of this crate.
//!
//! An encoder is plain code whose loops the compiler vectorises ([`crate::lanes`]); here it is compiled once for each
//! level, and the best one the machine has is called. No level changes a result: all arithmetic is that of single
//! floats, without fused operations.

use crate::block_format::{BlockFormat, Row};

/// An instruction set that the encoders are compiled for, the plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The best level the machine has.
fn best() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            return Level::Avx512;
        }
        if is_x86_feature_detected!("avx2") {
            return Level::Avx2;
        }
    }
    Level::Plain
}

/// The level that encoders run at, which the machine has been seen to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Available {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2(Seen),
    #[cfg(target_arch = "x86_64")]
    Avx512(Seen),
}

/// Made by nobody but [`Available::now`].
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(());

impl Available {
    /// The best the machine has, or what a test wants.
    #[inline(always)]
    pub(crate) fn now() -> Self {
        #[cfg(all(test, target_arch = "x86_64"))]
        let level = tests::FORCED.get().map_or_else(best, |forced| forced.min(best()));
        #[cfg(not(all(test, target_arch = "x86_64")))]
        let level = best();
        match level {
            Level::Plain => Available::Plain,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Available::Avx2(Seen(())),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Available::Avx512(Seen(())),
        }
    }
}

/// Encodes a row with the best instructions there are; nothing happens where the format has no encoder.
pub(crate) fn encode<F: BlockFormat>(row: Row<'_, F::Values>, out: &mut [F::Block]) {
    match Available::now() {
        Available::Plain => encode_plain::<F>(row, out),
        // SAFETY: the machine has the features the function is compiled for; `Available` has looked.
        #[cfg(target_arch = "x86_64")]
        Available::Avx2(_) => unsafe { encode_avx2::<F>(row, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Available::Avx512(_) => unsafe { encode_avx512::<F>(row, out) },
    }
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

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::format;
    use ascua_gguf::TensorType;

    thread_local! {
        /// The level the tests of this thread want, where the machine has it.
        pub(super) static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    /// The numbers of the rows that `tests/quantized.rs` compares with llama.cpp's blocks.
    fn rows() -> Vec<f32> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/quantize_rows.bin");
        let bytes = std::fs::read(path).expect("it is in the repository");
        let start = bytes.iter().position(|&byte| byte == b'\n').expect("a first line") + 1;
        bytes[start..].as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    #[test]
    fn every_level_writes_the_same_bytes() {
        const COLUMNS: usize = 512;
        let rows = rows();
        let (importance, rows) = rows.split_at(COLUMNS);
        for &tensor_type in TensorType::ALL.iter().filter(|&&tensor_type| format(tensor_type).can_encode()) {
            let row_bytes = tensor_type.row_bytes(COLUMNS).expect("whole blocks");
            for importance in [None, Some(importance)] {
                for (number, row) in rows.chunks(COLUMNS).enumerate() {
                    let encode = |level| {
                        FORCED.set(Some(level));
                        let mut bytes = vec![0; row_bytes];
                        format(tensor_type).encode_row_with(row, importance, &mut bytes).expect("it fits");
                        bytes
                    };
                    let plain = encode(Level::Plain);
                    for level in [Level::Avx2, Level::Avx512] {
                        let with = importance.is_some();
                        assert!(encode(level) == plain, "{tensor_type} {level:?}, row {number}, importance {with}");
                    }
                }
            }
        }
        FORCED.set(None);
    }
}
