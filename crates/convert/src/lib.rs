//! TOOL: makes model files out of model files and checkpoints, and looks into them; prints nothing.

mod bounded_file;
pub mod checkpoint;
pub mod convert;
pub mod imatrix;
pub mod inspect;
pub mod quantize;
pub mod vocabulary;
pub mod weights;
