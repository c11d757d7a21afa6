//! BACKEND: the CPU device, its kernels for each instruction set and its thread pool.

pub mod attention;
mod bits;
mod compile;
mod device;
pub mod elementwise;
pub mod isa;
mod lanes;
pub mod matmul;
mod memory;
pub mod pool;
mod profile;
mod program;
pub mod roofline;
pub mod rope;
mod scales;
mod schedule;
#[cfg(target_arch = "x86_64")]
mod transpose;
mod work;

pub use device::CpuDevice;
