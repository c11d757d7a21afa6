//! Which format decodes which type: one line each.
//!
//! The match below has no default arm: a type without a format does not compile.

use crate::block_format::assert_geometry;
use crate::format::Format;
use crate::formats;
use ascua_gguf::TensorType;

macro_rules! registry {
    ($($tensor_type:ident => $format:path;)*) => {
        /// The format of a type.
        pub fn format(tensor_type: TensorType) -> &'static dyn Format {
            match tensor_type {
                $(TensorType::$tensor_type => const {
                    assert_geometry::<$format>();
                    &$format
                },)*
            }
        }
    };
}

registry! {
    F32 => formats::f32::F32;
    F16 => formats::f16::F16;
    BF16 => formats::bf16::BF16;
    F64 => formats::f64::F64;
    I8 => formats::i8::I8;
    I16 => formats::i16::I16;
    I32 => formats::i32::I32;
    I64 => formats::i64::I64;
    Q4_0 => formats::q4_0::Q4_0;
    Q4_1 => formats::q4_1::Q4_1;
    Q5_0 => formats::q5_0::Q5_0;
    Q5_1 => formats::q5_1::Q5_1;
    Q8_0 => formats::q8_0::Q8_0;
    Q8_1 => formats::q8_1::Q8_1;
    Q2_K => formats::q2_k::Q2_K;
    Q3_K => formats::q3_k::Q3_K;
    Q4_K => formats::q4_k::Q4_K;
    Q5_K => formats::q5_k::Q5_K;
    Q6_K => formats::q6_k::Q6_K;
    Q8_K => formats::q8_k::Q8_K;
    IQ1_S => formats::iq1_s::IQ1_S;
    IQ1_M => formats::iq1_m::IQ1_M;
    IQ2_XXS => formats::iq2_xxs::IQ2_XXS;
    IQ2_XS => formats::iq2_xs::IQ2_XS;
    IQ2_S => formats::iq2_s::IQ2_S;
    IQ3_XXS => formats::iq3_xxs::IQ3_XXS;
    IQ3_S => formats::iq3_s::IQ3_S;
    IQ4_NL => formats::iq4_nl::IQ4_NL;
    IQ4_XS => formats::iq4_xs::IQ4_XS;
    TQ1_0 => formats::tq1_0::TQ1_0;
    TQ2_0 => formats::tq2_0::TQ2_0;
    MXFP4 => formats::mxfp4::MXFP4;
    NVFP4 => formats::nvfp4::NVFP4;
    Q1_0 => formats::q1_0::Q1_0;
    Q2_0 => formats::q2_0::Q2_0;
}
