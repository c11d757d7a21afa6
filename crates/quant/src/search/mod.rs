//! The searches behind the encoders: scales, minimums and integers that lose least.
//!
//! Each runs for several groups at once ([`crate::lanes`]) and follows llama.cpp's searches step by step, so that the
//! files agree.

pub(crate) mod affine;
pub(crate) mod codes;
pub(crate) mod lattice;
pub(crate) mod nearest;
pub(crate) mod points;
pub(crate) mod positive;
pub(crate) mod signed;
pub(crate) mod ternary;
pub(crate) mod weights;
