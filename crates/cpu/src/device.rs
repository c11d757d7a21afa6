//! The CPU as a device: one memory, a pool of threads, kernels chosen once for the machine.

use std::sync::Arc;

use ascua_graph::{CompileOptions, Device, DeviceError, Graph, MemoryPlan, Program, WeightSource};

use crate::compile;
use crate::isa::Isa;
use crate::pool::ThreadPool;

/// The device.
pub struct CpuDevice {
    pool: Arc<ThreadPool>,
    isa: Isa,
}

impl CpuDevice {
    /// A device with `threads` workers that uses instructions up to `isa`.
    ///
    /// # Errors
    /// The machine lacks the instructions, or threads cannot be started.
    pub fn new(threads: usize, isa: Isa) -> Result<CpuDevice, DeviceError> {
        let failed = |e: &dyn std::fmt::Display| DeviceError::Threads(e.to_string());
        let isa = isa.require().map_err(|e| failed(&e))?;
        Ok(CpuDevice { pool: Arc::new(ThreadPool::new(threads).map_err(|e| failed(&e))?), isa })
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Instruction-set level in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl Device for CpuDevice {
    fn name(&self) -> String {
        "CPU".into()
    }

    fn plan(&self, graph: &Graph, options: &CompileOptions) -> Result<MemoryPlan, DeviceError> {
        let settings = compile::Settings { isa: self.isa, threads: self.pool.threads(), options: *options };
        compile::plan(graph, &settings)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: Vec<WeightSource>,
        options: &CompileOptions,
    ) -> Result<Box<dyn Program>, DeviceError> {
        let settings = compile::Settings { isa: self.isa, threads: self.pool.threads(), options: *options };
        Ok(Box::new(compile::compile(graph, weights, &settings, Arc::clone(&self.pool))?))
    }
}
