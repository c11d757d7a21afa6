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
        Codec::Bf16 => through(TensorType::BF16),
        Codec::Q8_0 => through(TensorType::Q8_0),
        Codec::Q4_0 => through(TensorType::Q4_0),
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
