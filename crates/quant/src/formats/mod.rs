//! The block formats, one file each: the layout of a block, its values, its product with activations.
//!
//! A unit struct names the format, a `Block…` struct is its bytes. Integers come out in the order of the elements, so a
//! kernel can be checked step by step against `quants()` and `group_scales()`.

pub mod bf16;
mod e2m1;
pub mod f16;
pub mod f32;
pub mod f64;
pub mod i16;
pub mod i32;
pub mod i64;
pub mod i8;
pub mod iq1_m;
pub mod iq1_s;
pub mod iq2_s;
pub mod iq2_xs;
pub mod iq2_xxs;
pub mod iq3_s;
pub mod iq3_xxs;
pub mod iq4_nl;
pub mod iq4_xs;
mod k_affine;
pub mod k_scales;
mod lattice;
pub mod mxfp4;
pub mod nvfp4;
pub mod q1_0;
pub mod q2_0;
pub mod q2_k;
pub mod q3_k;
pub mod q4_0;
pub mod q4_1;
pub mod q4_k;
pub mod q5_0;
pub mod q5_1;
pub mod q5_k;
pub mod q6_k;
pub mod q8_0;
pub mod q8_1;
pub mod q8_k;
mod rows_of_32;
mod ternary_lattice;
pub mod tq1_0;
pub mod tq2_0;
