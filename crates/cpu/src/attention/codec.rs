//! Rows of keys and values in the types a cache can have: written once, read by every later token.
//!
//! F32, F16, BF16, Q8_0 and Q4_0 have vector code; any other type that can be encoded works through its format.

use ascua_gguf::TensorType;

use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};

/// Padding of decoded rows: the longest vector.
pub(super) const PADDING: usize = 16;

/// How rows are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)] // the formats' names
pub(super) enum Codec {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    /// Through the format's own routines.
    Other(TensorType),
}

/// Elements and bytes of a block of Q8_0 and Q4_0: a half-precision scale and the integers.
const BLOCK: usize = 32;
const Q8_0_BYTES: usize = 34;
const Q4_0_BYTES: usize = 18;

impl Codec {
    /// None for a type that cannot be encoded.
    pub(super) fn new(cache_type: TensorType) -> Option<Codec> {
        match cache_type {
            TensorType::F32 => Some(Codec::F32),
            TensorType::F16 => Some(Codec::F16),
            TensorType::BF16 => Some(Codec::Bf16),
            TensorType::Q8_0 => Some(Codec::Q8_0),
            TensorType::Q4_0 => Some(Codec::Q4_0),
            other => {
                let block = vec![0.0; other.block_len()];
                let mut bytes = vec![0; other.block_bytes()];
                ascua_quant::format(other).encode_row(&block, &mut bytes).ok().map(|()| Codec::Other(other))
            }
        }
    }
}

/// Decodes a row of `n` elements; `out` has room for `n` rounded up to [`PADDING`], and the rest of it becomes zero.
/// # Safety
/// `row` is a row of `n` elements of the codec; the machine has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn decode<V: Lanes>(codec: Codec, row: *const u8, n: usize, out: *mut f32) {
    // SAFETY: whole vectors or blocks below `n`, the rest through buffers; writes end below `n` rounded up.
    unsafe {
        match codec {
            Codec::F32 => std::ptr::copy_nonoverlapping(row.cast::<f32>(), out, n),
            Codec::F16 | Codec::Bf16 => {
                let row = row.cast::<u16>();
                let load = |from: *const u16| match codec {
                    Codec::F16 => V::load_f16(from),
                    _ => V::load_bf16(from),
                };
                let whole = n - n % V::LANES;
                let mut i = 0;
                while i < whole {
                    load(row.add(i)).store(out.add(i));
                    i += V::LANES;
                }
                if whole < n {
                    let mut rest = [0; PADDING];
                    std::ptr::copy_nonoverlapping(row.add(whole), rest.as_mut_ptr(), n - whole);
                    load(rest.as_ptr()).store(out.add(whole));
                }
            }
            Codec::Q8_0 => {
                for block in 0..n / BLOCK {
                    let (bytes, out) = (row.add(block * Q8_0_BYTES), out.add(block * BLOCK));
                    let scale = V::splat(V::widen_f16(bytes.cast::<u16>().read_unaligned()));
                    let mut i = 0;
                    while i < BLOCK {
                        V::load_i8(bytes.add(2 + i).cast()).mul(scale).store(out.add(i));
                        i += V::LANES;
                    }
                }
            }
            Codec::Q4_0 => {
                for block in 0..n / BLOCK {
                    let (bytes, out) = (row.add(block * Q4_0_BYTES), out.add(block * BLOCK));
                    let scale = V::splat(V::widen_f16(bytes.cast::<u16>().read_unaligned()));
                    let packed = bytes.add(2).cast::<[u8; 16]>().read_unaligned();
                    let mut integers = [0i8; BLOCK];
                    for (i, byte) in packed.into_iter().enumerate() {
                        integers[i] = (byte & 15) as i8 - 8;
                        integers[i + 16] = (byte >> 4) as i8 - 8;
                    }
                    let mut i = 0;
                    while i < BLOCK {
                        V::load_i8(integers.as_ptr().add(i)).mul(scale).store(out.add(i));
                        i += V::LANES;
                    }
                }
            }
            Codec::Other(cache_type) => {
                let bytes = n / cache_type.block_len() * cache_type.block_bytes();
                let (row, out) = (std::slice::from_raw_parts(row, bytes), std::slice::from_raw_parts_mut(out, n));
                // The kernel's maker checked that rows are whole blocks.
                let _ = ascua_quant::format(cache_type).decode_row(row, out);
            }
        }
        for i in n..n.next_multiple_of(PADDING) {
            *out.add(i) = 0.0;
        }
    }
}

/// Encodes `n` elements into a row.
/// # Safety
/// `from` is readable for `n` elements, `row` writable for as many in the codec; the machine has the level.
pub(super) unsafe fn encode(isa: Isa, codec: Codec, from: *const f32, n: usize, row: *mut u8) {
    let through = |cache_type: TensorType| {
        let bytes = n / cache_type.block_len() * cache_type.block_bytes();
        // SAFETY: as the caller promises.
        let (from, row) = unsafe { (std::slice::from_raw_parts(from, n), std::slice::from_raw_parts_mut(row, bytes)) };
        // The kernel's maker checked that rows are whole blocks and that the type can be encoded.
        let _ = ascua_quant::format(cache_type).encode_row(from, row);
    };
    match codec {
        // SAFETY: as the caller promises.
        Codec::F32 => unsafe { std::ptr::copy_nonoverlapping(from.cast(), row, n * size_of::<f32>()) },
        // SAFETY: as the caller promises.
        Codec::F16 => unsafe { dispatch(isa, EncodeF16 { from, n, row: row.cast() }) },
        // SAFETY: as the caller promises; the kernel's maker checked that rows are whole blocks.
        Codec::Q8_0 | Codec::Q4_0 => unsafe { dispatch(isa, EncodeBlocks { codec, from, blocks: n / BLOCK, row }) },
        Codec::Bf16 => through(TensorType::BF16),
        Codec::Other(cache_type) => through(cache_type),
    }
}

struct EncodeF16 {
    from: *const f32,
    n: usize,
    row: *mut u16,
}

impl Kernel for EncodeF16 {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: whole vectors below `n`, the rest through a buffer.
        unsafe {
            let whole = self.n - self.n % V::LANES;
            let mut i = 0;
            while i < whole {
                V::load(self.from.add(i)).store_f16(self.row.add(i));
                i += V::LANES;
            }
            if whole < self.n {
                let mut rest = [0; PADDING];
                V::load_first(self.from.add(whole), self.n - whole).store_f16(rest.as_mut_ptr());
                std::ptr::copy_nonoverlapping(rest.as_ptr(), self.row.add(whole), self.n - whole);
            }
        }
    }
}

/// Blocks of Q8_0 or Q4_0, the same bits as their formats' encoders give.
struct EncodeBlocks {
    codec: Codec,
    from: *const f32,
    blocks: usize,
    row: *mut u8,
}

impl Kernel for EncodeBlocks {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        for block in 0..self.blocks {
            // SAFETY: whole blocks of the row.
            unsafe {
                let from = self.from.add(block * BLOCK);
                match self.codec {
                    Codec::Q8_0 => encode_q8_0::<V>(from, self.row.add(block * Q8_0_BYTES)),
                    _ => encode_q4_0::<V>(from, self.row.add(block * Q4_0_BYTES)),
                }
            }
        }
    }
}

/// # Safety
/// `from` is a block's elements; the machine has the instructions of `V`.
#[inline(always)]
unsafe fn largest_magnitude<V: Lanes>(from: *const f32) -> f32 {
    // SAFETY: whole vectors of the block.
    unsafe {
        let (zero, mut largest) = (V::splat(0.0), V::splat(0.0));
        let mut i = 0;
        while i < BLOCK {
            let x = V::load(from.add(i));
            largest = zero.sub(x).max(x).max(largest);
            i += V::LANES;
        }
        largest.maximum()
    }
}

/// One over the scale, or zero for a block without one.
#[inline(always)]
fn inverse(scale: f32) -> f32 {
    if scale != 0.0 { 1.0 / scale } else { 0.0 }
}

/// # Safety
/// `from` is a block's elements, `to` a block's bytes; the machine has the instructions of `V`.
#[inline(always)]
unsafe fn encode_q8_0<V: Lanes>(from: *const f32, to: *mut u8) {
    // SAFETY: whole vectors of the block.
    unsafe {
        let scale = largest_magnitude::<V>(from) / 127.0;
        to.cast::<u16>().write_unaligned(half::f16::from_f32(scale).to_bits());
        let (inverse, zero, half, one) = (V::splat(inverse(scale)), V::splat(0.0), V::splat(0.5), V::splat(1.0));
        let mut i = 0;
        while i < BLOCK {
            let x = V::load(from.add(i)).mul(inverse);
            let magnitude = zero.sub(x).max(x);
            // To the nearest integer, halves away from zero.
            let even = magnitude.round();
            let rounded = V::select(magnitude.sub(even).less(half), even, even.add(one));
            V::select(x.less(zero), zero.sub(rounded), rounded).store_i8(to.add(2 + i).cast());
            i += V::LANES;
        }
    }
}

/// # Safety
/// As [`encode_q8_0`].
#[inline(always)]
unsafe fn encode_q4_0<V: Lanes>(from: *const f32, to: *mut u8) {
    // SAFETY: whole vectors of the block.
    unsafe {
        let largest = largest_magnitude::<V>(from);
        // The first of the largest magnitude, with its sign, becomes -8.
        let farthest = (0..BLOCK).map(|i| *from.add(i)).find(|x| x.abs() == largest).unwrap_or(0.0);
        let scale = farthest / -8.0;
        to.cast::<u16>().write_unaligned(half::f16::from_f32(scale).to_bits());
        let inverse = V::splat(inverse(scale));
        let mut codes = [0i8; BLOCK];
        let mut i = 0;
        while i < BLOCK {
            let code = V::load(from.add(i)).mul(inverse).add(V::splat(8.5));
            code.min(V::splat(15.0)).store_i8(codes.as_mut_ptr().add(i));
            i += V::LANES;
        }
        for i in 0..BLOCK / 2 {
            *to.add(2 + i) = codes[i] as u8 | (codes[i + BLOCK / 2] as u8) << 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of each type at every level: the bits of the format's encoder, and its numbers back.
    #[test]
    fn rows_are_written_and_read_as_the_formats_do() {
        struct Decode<'a>(Codec, &'a [u8], &'a mut [f32], usize);
        impl Kernel for Decode<'_> {
            type Output = ();
            #[inline(always)]
            unsafe fn run<V: Lanes>(self) {
                // SAFETY: the row has the elements, the output is padded.
                unsafe { decode::<V>(self.0, self.1.as_ptr(), self.3, self.2.as_mut_ptr()) };
            }
        }
        let types =
            [TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q8_0, TensorType::Q4_0, TensorType::Q4_1];
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        for cache_type in types {
            let codec = Codec::new(cache_type).unwrap();
            for n in [32, 64, 96, 128, 256, 1, 7, 33, 100] {
                let Some(bytes) = cache_type.row_bytes(n) else { continue };
                let mut rows: Vec<Vec<f32>> = (0..50).map(|_| (0..n).map(|_| random() * 9.0).collect()).collect();
                rows.push(vec![0.0; n]);
                // Ties of the rounding, and two extremes of one magnitude.
                rows.push((0..n).map(|i| (i as f32 - 16.0) * 0.5 * if i % 2 == 0 { 1.0 } else { -1.0 }).collect());
                rows.push((0..n).map(|i| if i == 5 { 127.0 } else { i as f32 + 0.5 }).collect());
                rows.push((0..n).map(|i| if i % 2 == 0 { 3.0 } else { -3.0 }).collect());
                for row in &rows {
                    let mut expected = vec![0; bytes];
                    ascua_quant::format(cache_type).encode_row(row, &mut expected).unwrap();
                    let mut back = vec![0.0; n];
                    ascua_quant::format(cache_type).decode_row(&expected, &mut back).unwrap();
                    for isa in Isa::available() {
                        let mut found = vec![0; bytes];
                        let mut out = vec![9.0; n.next_multiple_of(PADDING)];
                        // SAFETY: rows of `n` elements, an available level.
                        unsafe {
                            encode(isa, codec, row.as_ptr(), n, found.as_mut_ptr());
                            dispatch(isa, Decode(codec, &found, &mut out, n));
                        }
                        assert_eq!(found, expected, "{cache_type} at {isa}: bytes of {row:?}");
                        assert_eq!(out[..n], back, "{cache_type} at {isa}: numbers of {row:?}");
                        assert!(out[n..].iter().all(|x| *x == 0.0), "{cache_type} at {isa}: padding of {n}");
                    }
                }
            }
        }
    }
}
