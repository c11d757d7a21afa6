//! TOOL: makes model files out of model files; prints nothing.

pub mod imatrix;
pub mod quantize;
