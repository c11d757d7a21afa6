//! A tensor of a file: what it is, where it lies, and its bytes.
//!
//! Invariant: a [`TensorInfo`] only exists with a shape whose element and byte counts are known not to overflow; a
//! [`TensorData`] keeps the mapping it points into alive.

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use crate::error::shown;
use crate::limits::MAX_DIMENSIONS;
use crate::storage::Storage;
use crate::{GgufError, Malformed, TensorType};

/// Name, shape, type and place of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, unique in the model.
    pub name: String,
    /// Its dimensions as the file has them: the fastest first. None of them is zero; a scalar has none.
    pub shape: Vec<u64>,
    /// Encoding of its elements.
    pub tensor_type: TensorType,
    elements: u64,
    bytes: u64,
    pub(crate) place: Place,
}

/// Where the bytes of a tensor lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Part of a split model, from 0.
    pub part: usize,
    /// First byte, counted from the start of the part.
    pub start: u64,
}

impl TensorInfo {
    /// A tensor that lies nowhere yet. Refused: too many dimensions, a zero dimension, partial blocks, sizes past 63
    /// bits.
    pub fn new(
        name: impl Into<String>,
        shape: impl Into<Vec<u64>>,
        tensor_type: TensorType,
    ) -> Result<TensorInfo, Malformed> {
        let (name, shape) = (name.into(), shape.into());
        if shape.len() > MAX_DIMENSIONS as usize {
            return Err(Malformed::Dimensions { name: shown(&name), found: shape.len() as u64 });
        }
        if let Some(dimension) = shape.iter().position(|&size| size == 0) {
            return Err(Malformed::ZeroDimension { name: shown(&name), dimension });
        }
        let product = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let Some(elements) = product.filter(|&elements| i64::try_from(elements).is_ok()) else {
            return Err(Malformed::Elements { name: shown(&name), shape });
        };
        let row = shape.first().copied().unwrap_or(1);
        let block_len = tensor_type.block_len() as u64;
        if row % block_len != 0 {
            return Err(Malformed::PartialBlock { name: shown(&name), tensor_type, row });
        }
        let bytes = (elements / block_len).checked_mul(tensor_type.block_bytes() as u64);
        let Some(bytes) = bytes.filter(|&bytes| i64::try_from(bytes).is_ok()) else {
            return Err(Malformed::TensorBytes { name: shown(&name), shape, tensor_type });
        };
        Ok(TensorInfo { name, shape, tensor_type, elements, bytes, place: Place::default() })
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Bytes of its data.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Elements in a row: the fastest dimension, 1 for a scalar.
    pub fn row_elements(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Number of rows: the product of all dimensions but the fastest.
    pub fn rows(&self) -> u64 {
        self.elements / self.row_elements().max(1)
    }

    /// Part of a split model that holds it, from 0.
    pub fn part(&self) -> usize {
        self.place.part
    }

    /// First byte of its data, counted from the start of its part.
    pub fn start(&self) -> u64 {
        self.place.start
    }
}

/// The bytes of a tensor, borrowed from the file without a copy; cheap to clone and to send.
#[derive(Clone)]
pub struct TensorData {
    storage: Storage,
    start: usize,
    end: usize,
}

impl TensorData {
    /// The bytes `start..start + bytes` of `storage`; none where they are not all there.
    pub(crate) fn new(storage: &Storage, start: u64, bytes: u64) -> TensorData {
        let range = || {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(bytes).ok()?)?;
            (end <= storage.len()).then_some((start, end))
        };
        let (start, end) = range().unwrap_or((0, 0));
        TensorData { storage: storage.clone(), start, end }
    }

    /// All bytes of the file at `path`, of whatever format, mapped without a copy. As with
    /// [`Gguf::open`](crate::Gguf::open) the file must stay as it is.
    pub fn map(path: impl AsRef<Path>) -> Result<TensorData, GgufError> {
        let storage = Storage::map(path.as_ref())?;
        let end = storage.len();
        Ok(TensorData { storage, start: 0, end })
    }

    /// The bytes `start..end` of these; none where they are not all there.
    pub fn slice(&self, start: usize, end: usize) -> Option<TensorData> {
        self.get(start..end)?;
        Some(TensorData { storage: self.storage.clone(), start: self.start + start, end: self.start + end })
    }

    /// Tells the operating system that the bytes are not needed for now, so that their memory can be used for others. They
    /// stay readable, from the file.
    pub fn release(&self) {
        self.storage.release(self.start, self.end);
    }
}

impl Deref for TensorData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }
}

impl AsRef<[u8]> for TensorData {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for TensorData {
    fn from(bytes: Vec<u8>) -> TensorData {
        let end = bytes.len();
        TensorData { storage: Storage::from(bytes), start: 0, end }
    }
}

impl fmt::Debug for TensorData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TensorData({} bytes)", self.len())
    }
}
