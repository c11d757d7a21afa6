//! What this machine offers: for `ascua info --cpu`.

use ascua::Isa;
use serde::Serialize;

use crate::quantity::bytes;

/// The processor as the kernels see it.
#[derive(Debug, Serialize)]
pub struct CpuReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    processor: Option<String>,
    architecture: &'static str,
    threads: usize,
    instruction_sets: Vec<&'static str>,
    chosen: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_memory: Option<u64>,
}

impl CpuReport {
    /// Of this machine.
    pub fn new() -> CpuReport {
        CpuReport {
            processor: processor(),
            architecture: std::env::consts::ARCH,
            threads: ascua::available_threads(),
            instruction_sets: Isa::available().iter().map(|isa| isa.name()).collect(),
            chosen: Isa::detect().name(),
            available_memory: ascua::available_memory(),
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("processor         {} ({})", self.processor.as_deref().unwrap_or("unknown"), self.architecture),
            format!("threads           {}", self.threads),
            format!("instruction sets  {}", self.instruction_sets.join(", ")),
            format!("in use            {} (--isa forces another)", self.chosen),
            format!("free memory       {}", self.available_memory.map_or("unknown".into(), bytes)),
        ]
    }
}

/// The processor's own name, where the system tells.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
