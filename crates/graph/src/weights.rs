//! Weights as the graph names them: a tensor of the model file with the shape the architecture expects.

use ascua_gguf::{TensorData, TensorType};

use crate::device::DeviceError;

/// Index of a weight in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub u32);

/// What the graph knows about a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightSpec {
    /// Name in the model file.
    pub name: String,
    /// Dimensions, fastest first: `[columns]`, `[columns, rows]` or `[columns, rows, experts]`.
    pub shape: Vec<usize>,
    /// Encoding in the file.
    pub tensor_type: TensorType,
}

impl WeightSpec {
    /// Elements of a row.
    pub fn columns(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Rows of one matrix.
    pub fn rows(&self) -> usize {
        self.shape.get(1).copied().unwrap_or(1)
    }

    /// Matrices stacked in the tensor (experts).
    pub fn matrices(&self) -> usize {
        self.shape.get(2).copied().unwrap_or(1)
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes in the file's encoding.
    pub fn bytes(&self) -> usize {
        self.elements() / self.tensor_type.block_len() * self.tensor_type.block_bytes()
    }
}

/// A weight with its bytes.
#[derive(Clone)]
pub struct WeightSource {
    /// Name, shape, type.
    pub spec: WeightSpec,
    /// The encoded elements; keeps the file mapped.
    pub data: TensorData,
}

impl WeightSource {
    /// Checks that there are as many bytes as shape and type need.
    ///
    /// # Errors
    /// There are more or fewer.
    pub fn check(&self) -> Result<(), DeviceError> {
        if self.data.len() == self.spec.bytes() { Ok(()) } else { Err(self.wrong_size()) }
    }

    /// All elements as F32.
    ///
    /// # Errors
    /// As [`WeightSource::check`].
    pub fn decode(&self) -> Result<Vec<f32>, DeviceError> {
        self.check()?;
        let mut values = vec![0.0; self.spec.elements()];
        let format = ascua_quant::format(self.spec.tensor_type);
        format.decode_row(&self.data, &mut values).map_err(|_| self.wrong_size())?;
        Ok(values)
    }

    fn wrong_size(&self) -> DeviceError {
        let (found, expected) = (self.data.len(), self.spec.bytes());
        DeviceError::WeightSize { name: self.spec.name.clone(), found, expected }
    }
}
