//! Constant data of the formats: lattices, code values and sign patterns.
//!
//! Public because the fast kernels in other crates look up the same values. Every number here is part of the GGUF
//! format: another value would decode existing files wrongly.

mod code_values;
mod iq1;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod signs;

pub use code_values::{E2M1_DOUBLED, IQ4_VALUES};
pub use iq1::IQ1_GRID;
pub use iq2_s::IQ2_S_GRID;
pub use iq2_xs::IQ2_XS_GRID;
pub use iq2_xxs::IQ2_XXS_GRID;
pub use iq3_s::IQ3_S_GRID;
pub use iq3_xxs::IQ3_XXS_GRID;
pub use signs::EVEN_SIGNS;
