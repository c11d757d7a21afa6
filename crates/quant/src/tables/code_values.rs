//! The sixteen values a 4-bit code stands for, in the formats whose steps are not even.
//!
//! Values from llama.cpp, `ggml-common.h` (MIT licence); E2M1 is defined by the OCP Microscaling Formats specification.

/// IQ4_NL and IQ4_XS: denser near zero, where most weights lie.
pub static IQ4_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// MXFP4 and NVFP4: the E2M1 numbers 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, doubled to be whole.
///
/// Code 8 is minus zero in E2M1; here it is plain zero, as every integer path has it.
pub static E2M1_DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
