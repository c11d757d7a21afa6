//! BACKEND: the CPU device, its kernels for each instruction set and its thread pool.

pub mod isa;
pub mod matmul;
pub mod pool;
