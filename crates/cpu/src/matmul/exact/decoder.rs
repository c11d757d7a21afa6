//! Decoding one row of any GGUF type to floats.
//!
//! Types with an integer view and the plain float types have decoders compiled per instruction set; the others go
//! through the format registry of `ascua-quant`. The choice is made once per product.

use ascua_gguf::TensorType;
use ascua_quant::Format;

use super::plain::{DecodeRow, PlainType};
use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes, dispatch};
use crate::matmul::integers::IntegerFormat;

/// How rows of one type become floats.
#[derive(Clone, Copy)]
pub(in crate::matmul) enum RowDecoder {
    /// Floats of another width.
    Plain(PlainType, Isa),
    /// Small integers with scales.
    Integers(IntegerFormat, Isa),
    /// The format's own decoder.
    Registry(&'static dyn Format),
}

impl RowDecoder {
    pub fn new(weight: TensorType, isa: Isa) -> RowDecoder {
        match (PlainType::of(weight), IntegerFormat::of(weight, isa)) {
            (Some(plain), _) => RowDecoder::Plain(plain, isa),
            (None, Some(format)) => RowDecoder::Integers(format, isa),
            (None, None) => RowDecoder::Registry(ascua_quant::format(weight)),
        }
    }

    /// Decodes whole blocks of a row; `bytes` are exactly those of `out.len()` elements.
    ///
    /// # Safety
    /// The machine has the level the decoder was made for.
    pub unsafe fn decode(&self, bytes: &[u8], out: &mut [f32]) {
        match *self {
            // SAFETY: the caller vouches for the machine.
            RowDecoder::Plain(plain, isa) => unsafe { dispatch(isa, DecodeRow { plain, bytes, out }) },
            // SAFETY: the caller vouches for the machine.
            RowDecoder::Integers(format, isa) => unsafe { dispatch(isa, DecodeIntegers { format, bytes, out }) },
            RowDecoder::Registry(format) => {
                let decoded = format.decode_row(bytes, out);
                debug_assert!(decoded.is_ok(), "row lengths were checked when the product was made");
            }
        }
    }
}

/// Decodes whole blocks of small integers; its maker vouches that the format was made for the machine.
struct DecodeIntegers<'a> {
    format: IntegerFormat,
    bytes: &'a [u8],
    out: &'a mut [f32],
}

impl Kernel for DecodeIntegers<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: says the maker.
        unsafe { self.format.decode_floats(self.bytes, self.out) }
    }
}
