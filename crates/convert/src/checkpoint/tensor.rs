//! A tensor of a checkpoint: what it is, where it lies, and its rows as floats.
//!
//! Invariant: the elements that shape and strides reach lie in `data`.

use ascua_gguf::TensorData;

use super::{DType, TensorProblem};

/// Dimensions of a tensor that is read; convolutions have five.
const MAX_DIMENSIONS: usize = 8;

/// A tensor in a mapped file.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions, the slowest first, as PyTorch has them; a scalar has none.
    pub shape: Vec<u64>,
    /// Type of its elements.
    pub dtype: DType,
    /// Which of the checkpoint's files.
    pub(super) file: usize,
    /// From its first element on.
    data: TensorData,
    /// Elements from one to the next in each dimension; `None` where they lie densely.
    strides: Option<Vec<u64>>,
}

/// A tensor's place in a storage of elements.
pub(super) struct View<'a> {
    /// The bytes of the storage.
    pub storage: &'a TensorData,
    /// First element.
    pub offset: u64,
    /// Strides; `None`: dense.
    pub strides: Option<Vec<u64>>,
}

impl StoredTensor {
    /// A tensor of `view`.
    pub(super) fn new(
        name: String,
        shape: Vec<u64>,
        dtype: DType,
        file: usize,
        view: View<'_>,
    ) -> Result<StoredTensor, TensorProblem> {
        elements(&shape)?;
        let dense = dense_strides(&shape);
        let strides = view.strides.unwrap_or_else(|| dense.clone());
        let available = view.storage.len() as u64 / dtype.bytes();
        let outside = || TensorProblem::Strides { shape: shape.clone(), strides: strides.clone(), elements: available };
        if strides.len() != shape.len() {
            return Err(outside());
        }
        // One past the last element that is reached.
        let reached = shape.iter().zip(&strides).try_fold(0u64, |reached, (&size, &stride)| {
            reached.checked_add(size.saturating_sub(1).checked_mul(stride)?)
        });
        let empty = shape.contains(&0);
        let count = if empty { Some(0) } else { reached.and_then(|last| last.checked_add(1)) };
        let data = count.and_then(|count| {
            let end = view.offset.checked_add(count)?;
            let bytes = |elements: u64| usize::try_from(elements.checked_mul(dtype.bytes())?).ok();
            view.storage.slice(bytes(view.offset)?, bytes(end)?)
        });
        let data = data.ok_or_else(outside)?;
        let strides = (!empty && !is_dense(&shape, &strides, &dense)).then_some(strides);
        Ok(StoredTensor { name, shape, dtype, file, data, strides })
    }

    /// Swaps the last two dimensions, of those that have two.
    pub(super) fn transpose(&mut self) {
        let last = self.shape.len();
        if last >= 2 {
            let mut strides = self.strides.take().unwrap_or_else(|| dense_strides(&self.shape));
            self.shape.swap(last - 1, last - 2);
            strides.swap(last - 1, last - 2);
            self.strides = Some(strides);
        }
    }

    /// Elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements in a row: the last dimension, 1 for a scalar.
    pub fn row_elements(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Rows: all dimensions but the last.
    pub fn rows(&self) -> u64 {
        self.shape.iter().rev().skip(1).product()
    }

    /// Decodes a row. It must be one there is, `out` as long as a row, and the type one that is decoded.
    pub(crate) fn decode_row(&self, row: u64, out: &mut [f32]) {
        let bytes = self.dtype.bytes() as usize;
        let Some(strides) = &self.strides else {
            let length = out.len() * bytes;
            return self.dtype.decode(&self.data[row as usize * length..][..length], out);
        };
        let mut place = 0;
        let mut rest = row;
        for (&size, &stride) in self.shape.iter().zip(strides).rev().skip(1) {
            place += rest % size * stride;
            rest /= size;
        }
        let step = strides.last().copied().unwrap_or(1);
        for out in out.chunks_mut(1) {
            self.dtype.decode(&self.data[place as usize * bytes..][..bytes], out);
            place += step;
        }
    }

    /// All values, in order.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.elements() as usize];
        let columns = (self.row_elements() as usize).max(1);
        for (row, values) in (0..).zip(values.chunks_mut(columns)) {
            self.decode_row(row, values);
        }
        values
    }

    /// The memory of what was read can be used for others.
    pub fn release(&self) {
        self.data.release();
    }
}

/// The number of elements of a shape.
pub(super) fn elements(shape: &[u64]) -> Result<u64, TensorProblem> {
    if shape.len() > MAX_DIMENSIONS {
        return Err(TensorProblem::Dimensions { found: shape.len(), limit: MAX_DIMENSIONS });
    }
    // Without the empty dimensions, so that nothing made of the others overflows either.
    let product = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size.max(1)));
    match product.filter(|&product| i64::try_from(product.saturating_mul(8)).is_ok()) {
        Some(_) => Ok(shape.iter().product()),
        None => Err(TensorProblem::Elements { shape: shape.to_vec() }),
    }
}

fn dense_strides(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension] * shape[dimension].max(1);
    }
    strides
}

/// The stride of a dimension of one does not matter.
fn is_dense(shape: &[u64], strides: &[u64], dense: &[u64]) -> bool {
    shape.iter().zip(strides.iter().zip(dense)).all(|(&size, (stride, dense))| size == 1 || stride == dense)
}
