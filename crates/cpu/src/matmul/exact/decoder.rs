//! Decoding one row of any GGUF type to floats.
//!
//! Types with an integer view and the plain float types have decoders compiled per instruction set; the others go
//! through the format registry of `ascua-quant`. The choice is made once per product.

use ascua_gguf::TensorType;
use ascua_quant::Format;

use crate::isa::Isa;
use crate::matmul::integers::{IntegerFormat, half_to_f32};

/// How rows of one type become floats.
#[derive(Clone, Copy)]
pub(super) enum RowDecoder {
    /// A compiled decoder; sound to call on a machine with the level it was made for.
    Compiled(unsafe fn(&[u8], &mut [f32])),
    /// Small integers with scales.
    Integers(IntegerFormat),
    /// The format's own decoder.
    Registry(&'static dyn Format),
}

impl RowDecoder {
    pub fn new(weight: TensorType, isa: Isa) -> RowDecoder {
        match weight {
            TensorType::F32 => RowDecoder::Compiled(f32_row),
            TensorType::F16 => RowDecoder::Compiled(match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => f16_row_avx2,
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Avx512Vnni => f16_row_avx512,
                _ => f16_row,
            }),
            TensorType::BF16 => RowDecoder::Compiled(match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 | Isa::Avx512 | Isa::Avx512Vnni => bf16_row_avx2,
                _ => bf16_row,
            }),
            other => match IntegerFormat::of(other, isa) {
                Some(format) => RowDecoder::Integers(format),
                None => RowDecoder::Registry(ascua_quant::format(other)),
            },
        }
    }

    /// Decodes a whole row; `bytes` are exactly those of `out.len()` elements.
    ///
    /// # Safety
    /// The machine has the level the decoder was made for.
    pub unsafe fn decode(&self, bytes: &[u8], out: &mut [f32]) {
        match self {
            // SAFETY: the caller vouches for the machine.
            RowDecoder::Compiled(decode) => unsafe { decode(bytes, out) },
            // SAFETY: the caller vouches for the machine.
            RowDecoder::Integers(format) => unsafe { format.decode_floats(bytes, out) },
            RowDecoder::Registry(format) => {
                let decoded = format.decode_row(bytes, out);
                debug_assert!(decoded.is_ok(), "row lengths were checked when the product was made");
            }
        }
    }
}

unsafe fn f32_row(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *out = f32::from_le_bytes(*bytes);
    }
}

unsafe fn f16_row(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *out = half_to_f32(u16::from_le_bytes(*bytes));
    }
}

#[inline(always)]
fn bf16_loop(bytes: &[u8], out: &mut [f32]) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
    }
}

unsafe fn bf16_row(bytes: &[u8], out: &mut [f32]) {
    bf16_loop(bytes, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn bf16_row_avx2(bytes: &[u8], out: &mut [f32]) {
    bf16_loop(bytes, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn f16_row_avx2(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::*;
    let (halves, tail) = bytes.as_chunks::<16>();
    let (out, out_tail) = out.split_at_mut(halves.len() * 8);
    for (halves, out) in halves.iter().zip(out.as_chunks_mut::<8>().0) {
        // SAFETY: the arrays have the sixteen bytes and eight floats that are read and written.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(halves.as_ptr().cast()))) };
    }
    // SAFETY: the plain loop needs nothing of the machine.
    unsafe { f16_row(tail, out_tail) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn f16_row_avx512(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::*;
    let (halves, tail) = bytes.as_chunks::<32>();
    let (out, out_tail) = out.split_at_mut(halves.len() * 16);
    for (halves, out) in halves.iter().zip(out.as_chunks_mut::<16>().0) {
        // SAFETY: the arrays have the 32 bytes and sixteen floats that are read and written.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()))) };
    }
    // SAFETY: the plain loop needs nothing of the machine.
    unsafe { f16_row(tail, out_tail) };
}
