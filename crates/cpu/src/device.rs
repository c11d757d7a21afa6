//! The CPU as a device: one memory, a pool of threads, kernels chosen once for the machine.

use std::sync::Arc;

use ascua_graph::{CompileOptions, Device, DeviceError, Graph, MemoryPlan, Program, WeightSource};

use crate::compile;
use crate::isa::Isa;
use crate::pool::{ThreadPool, Workers};
use crate::program::Threads;

/// The device.
pub struct CpuDevice {
    pool: Arc<ThreadPool>,
    workers: Workers,
    isa: Isa,
}

impl CpuDevice {
    /// A device with these workers (a number does for all steps) that uses instructions up to `isa`.
    ///
    /// # Errors
    /// The machine lacks the instructions, or threads cannot be started.
    pub fn new(workers: impl Into<Workers>, isa: Isa) -> Result<CpuDevice, DeviceError> {
        let failed = |e: &dyn std::fmt::Display| DeviceError::Threads(e.to_string());
        let isa = isa.require().map_err(|e| failed(&e))?;
        let workers = workers.into();
        let pool = ThreadPool::placed(workers.most(), workers.placement.clone()).map_err(|e| failed(&e))?;
        Ok(CpuDevice { pool: Arc::new(pool), workers, isa })
    }

    /// Worker threads.
    pub fn workers(&self) -> &Workers {
        &self.workers
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
        let settings = compile::Settings { isa: self.isa, threads: self.workers.most(), options: *options };
        compile::plan(graph, &settings)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: Vec<WeightSource>,
        options: &CompileOptions,
    ) -> Result<Box<dyn Program>, DeviceError> {
        let settings = compile::Settings { isa: self.isa, threads: self.workers.most(), options: *options };
        let threads = Threads { pool: Arc::clone(&self.pool), workers: self.workers.clone() };
        Ok(Box::new(compile::compile(graph, weights, &settings, threads)?))
    }
}
