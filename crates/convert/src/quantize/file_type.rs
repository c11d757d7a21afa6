//! File types: what a user asks for, such as `Q4_K_M`, each with its number in `general.file_type` and the type of the
//! tensors that are no exception. The exceptions are in [`super::mix`].
//!
//! Numbers and names are facts of llama.cpp (`llama.h`, `llama-quant.cpp`).

use std::fmt;
use std::str::FromStr;

use ascua_gguf::TensorType;

macro_rules! file_types {
    ($($variant:ident = $id:literal, $tensor_type:ident, $doc:literal;)*) => {
        /// A mix of tensor types, by the name users know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)]
        pub enum FileType { $(#[doc = $doc] $variant,)* }

        impl FileType {
            /// Every file type, by size: the largest first.
            pub const ALL: &'static [FileType] = &[$(FileType::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(FileType::$variant => stringify!($variant),)* }
            }

            /// Its number in `general.file_type`.
            pub const fn id(self) -> u32 {
                match self { $(FileType::$variant => $id,)* }
            }

            /// The type of the tensors that are no exception.
            pub const fn tensor_type(self) -> TensorType {
                match self { $(FileType::$variant => TensorType::$tensor_type,)* }
            }

            /// What it is, in a few words.
            pub const fn description(self) -> &'static str {
                match self { $(FileType::$variant => $doc,)* }
            }
        }
    };
}

file_types! {
    F32 = 0, F32, "32-bit floats";
    BF16 = 32, BF16, "16-bit floats with the range of 32-bit ones";
    F16 = 1, F16, "16-bit floats";
    Q8_0 = 7, Q8_0, "8.5 bits per weight, all but lossless";
    Q6_K = 18, Q6_K, "6.6 bits, very little loss";
    Q5_K_M = 17, Q5_K, "5.7 bits, little loss";
    Q5_K_S = 16, Q5_K, "5.5 bits, little loss";
    Q5_1 = 9, Q5_1, "6 bits, older; Q5_K_M is better";
    Q5_0 = 8, Q5_0, "5.5 bits, older; Q5_K_S is better";
    Q4_K_M = 15, Q4_K, "4.9 bits, the usual choice";
    Q4_K_S = 14, Q4_K, "4.6 bits";
    Q4_1 = 3, Q4_1, "5 bits, older; Q4_K_M is better";
    IQ4_NL = 25, IQ4_NL, "4.5 bits, uneven steps";
    IQ4_XS = 30, IQ4_XS, "4.3 bits, uneven steps";
    Q4_0 = 2, Q4_0, "4.5 bits, older; fast";
    MXFP4_MOE = 38, MXFP4, "4.25 bits for experts, 8.5 for the rest";
    NVFP4 = 39, NVFP4, "4.5 bits, 4-bit floats";
    Q3_K_L = 13, Q3_K, "4.3 bits, some loss";
    Q3_K_M = 12, Q3_K, "3.9 bits, some loss";
    IQ3_M = 27, IQ3_S, "3.7 bits";
    IQ3_S = 26, IQ3_S, "3.4 bits";
    Q3_K_S = 11, Q3_K, "3.5 bits, much loss";
    IQ3_XS = 22, IQ3_S, "3.3 bits";
    IQ3_XXS = 23, IQ3_XXS, "3.1 bits; needs importance";
    Q2_K = 10, Q2_K, "3.2 bits, much loss";
    Q2_K_S = 21, Q2_K, "2.9 bits, much loss; needs importance";
    IQ2_M = 29, IQ2_S, "2.7 bits; needs importance";
    IQ2_S = 28, IQ2_XS, "2.5 bits; needs importance";
    IQ2_XS = 20, IQ2_XS, "2.3 bits; needs importance";
    IQ2_XXS = 19, IQ2_XXS, "2.1 bits; needs importance";
    IQ1_M = 31, IQ1_M, "1.75 bits; needs importance";
    IQ1_S = 24, IQ1_S, "1.6 bits; needs importance";
    TQ2_0 = 37, TQ2_0, "2.06 bits, for ternary models";
    TQ1_0 = 36, TQ1_0, "1.69 bits, for ternary models";
    Q2_0 = 41, Q2_0, "2.25 bits, for ternary models";
    Q1_0 = 40, Q1_0, "1.125 bits, for binary models";
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FileType {
    type Err = ();

    /// Any case of the name; a short name such as `Q4_K`; or the number.
    fn from_str(name: &str) -> Result<FileType, ()> {
        let name = match name.to_ascii_uppercase().as_str() {
            "Q3_K" => "Q3_K_M".to_owned(),
            "Q4_K" => "Q4_K_M".to_owned(),
            "Q5_K" => "Q5_K_M".to_owned(),
            other => other.to_owned(),
        };
        let number = name.parse().ok();
        FileType::ALL.iter().copied().find(|t| t.name() == name || Some(t.id()) == number).ok_or(())
    }
}
