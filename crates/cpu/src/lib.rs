//! BACKEND: the CPU device, its kernels for each instruction set and its thread pool.

mod compile;
mod device;
pub mod isa;
pub mod matmul;
mod memory;
pub mod pool;
mod program;
mod work;

pub use device::CpuDevice;
