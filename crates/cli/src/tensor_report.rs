//! A tensor of a file, as a line and as JSON.

use ascua::gguf::TensorInfo;
use serde::Serialize;

use crate::quantity::bytes;

/// What a file says of a tensor.
#[derive(Debug, Serialize)]
pub struct TensorReport {
    name: String,
    #[serde(rename = "type")]
    tensor_type: &'static str,
    /// The fastest dimension first.
    shape: Vec<u64>,
    /// The file of a split model, from 0.
    part: usize,
    /// First byte, from the start of its file.
    offset: u64,
    bytes: u64,
}

impl From<&TensorInfo> for TensorReport {
    fn from(tensor: &TensorInfo) -> TensorReport {
        TensorReport {
            name: tensor.name.clone(),
            tensor_type: tensor.tensor_type.name(),
            shape: tensor.shape.clone(),
            part: tensor.part(),
            offset: tensor.start(),
            bytes: tensor.bytes(),
        }
    }
}

impl TensorReport {
    /// For people.
    pub fn line(&self) -> String {
        let shape = shape(&self.shape);
        let part = if self.part > 0 { format!("  part {}", self.part + 1) } else { String::new() };
        let (name, tensor_type) = (self.name.escape_debug().to_string(), self.tensor_type);
        format!("{name:<40} {tensor_type:<8} {shape:<20} {:>10}  at {}{part}", bytes(self.bytes), self.offset)
    }
}

/// Dimensions for people.
pub fn shape(shape: &[u64]) -> String {
    if shape.is_empty() { "scalar".into() } else { shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ") }
}
