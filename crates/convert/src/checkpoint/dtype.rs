//! The types elements have in checkpoints, by the names of safetensors, and how floats of them are decoded.
//!
//! Names and widths are facts of the safetensors format; the 8-bit floats are those of Micikevicius et al. 2022
//! ("FP8 formats for deep learning"), E4M3 without infinities.

use std::fmt;

use ascua_gguf::TensorType;
use ascua_quant::format;

macro_rules! dtypes {
    ($($variant:ident = $name:literal, $bytes:literal;)*) => {
        /// Type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum DType { $($variant,)* }

        impl DType {
            /// The type of a name of safetensors.
            pub fn from_name(name: &str) -> Option<DType> {
                match name { $($name => Some(DType::$variant),)* _ => None }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(DType::$variant => $name,)* }
            }

            /// Bytes of an element.
            pub const fn bytes(self) -> u64 {
                match self { $(DType::$variant => $bytes,)* }
            }
        }
    };
}

dtypes! {
    F64 = "F64", 8;
    F32 = "F32", 4;
    F16 = "F16", 2;
    BF16 = "BF16", 2;
    F8E4M3 = "F8_E4M3", 1;
    F8E5M2 = "F8_E5M2", 1;
    I64 = "I64", 8;
    I32 = "I32", 4;
    I16 = "I16", 2;
    I8 = "I8", 1;
    U64 = "U64", 8;
    U32 = "U32", 4;
    U16 = "U16", 2;
    U8 = "U8", 1;
    Bool = "BOOL", 1;
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DType {
    /// Whether [`DType::decode`] reads it: floats, and bytes that a scale makes floats of.
    pub fn is_decoded(self) -> bool {
        use DType::*;
        matches!(self, F64 | F32 | F16 | BF16 | F8E4M3 | F8E5M2 | I8)
    }

    /// Whether its numbers mean little without a scale.
    pub fn needs_scale(self) -> bool {
        self == DType::I8
    }

    /// Decodes as many elements as `out` holds; `bytes` are just theirs, of a type that is decoded.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let tensor_type = match self {
            DType::F64 => TensorType::F64,
            DType::F32 => TensorType::F32,
            DType::F16 => TensorType::F16,
            DType::BF16 => TensorType::BF16,
            DType::I8 => TensorType::I8,
            DType::F8E4M3 => return bytes.iter().zip(out).for_each(|(&byte, out)| *out = e4m3(byte)),
            _ => return bytes.iter().zip(out).for_each(|(&byte, out)| *out = e5m2(byte)),
        };
        format(tensor_type).decode_row(bytes, out).expect("plain types decode from as many bytes as they have");
    }
}

/// Four bits of exponent in excess of 7, three of fraction; 0x7F and 0xFF are no numbers.
fn e4m3(byte: u8) -> f32 {
    let sign = u32::from(byte & 0x80) << 24;
    let (exponent, fraction) = (u32::from(byte >> 3 & 0xF), u32::from(byte & 7));
    let size = match (exponent, fraction) {
        (0xF, 7) => f32::NAN,
        (0, _) => fraction as f32 / 512.0,
        _ => f32::from_bits((exponent + 127 - 7) << 23 | fraction << 20),
    };
    f32::from_bits(size.to_bits() | sign)
}

/// The upper half of a half-precision float.
fn e5m2(byte: u8) -> f32 {
    let mut out = [0.0];
    DType::F16.decode(&[0, byte], &mut out);
    out[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_floats_have_their_values() {
        for (byte, expected) in [
            (0x00, 0.0),
            (0x01, 1.0 / 512.0),
            (0x07, 7.0 / 512.0),
            (0x08, 1.0 / 64.0),
            (0x38, 1.0),
            (0x3C, 1.5),
            (0x7E, 448.0),
            (0xB8, -1.0),
        ] {
            assert_eq!(e4m3(byte), expected, "{byte:#x}");
        }
        assert!(e4m3(0x7F).is_nan() && e4m3(0xFF).is_nan());
        assert!(e4m3(0x80).is_sign_negative());
        for (byte, expected) in [(0x3C, 1.0), (0x3E, 1.5), (0x7B, 57344.0), (0xC0, -2.0), (0x01, 2f32.powi(-16))] {
            assert_eq!(e5m2(byte), expected, "{byte:#x}");
        }
        assert!(e5m2(0x7C).is_infinite() && e5m2(0x7D).is_nan());
    }
}
