//! safetensors: the length of a header, the header as JSON, the bytes of the tensors.
//!
//! `length: u64`, then `{"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {…}}`, offsets
//! counted from the end of the header. Source: the format's description at huggingface.co/docs/safetensors.

use std::fmt;
use std::path::Path;

use ascua_gguf::TensorData;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::tensor::{StoredTensor, View, elements};
use super::{CheckpointError, DType, TensorProblem};

/// Longest header (the format's own limit).
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The entry that is no tensor.
const METADATA: &str = "__metadata__";

pub(super) fn read(path: &Path, file: usize) -> Result<Vec<StoredTensor>, CheckpointError> {
    let data = TensorData::map(path)?;
    let container = |problem: String| CheckpointError::Container { path: path.to_owned(), problem };
    let Some((length, rest)) = data.split_first_chunk::<8>() else {
        return Err(container(format!("the file has {} bytes, fewer than the length of a header", data.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        let looks = if data.starts_with(b"version https://git-lfs") { " (a Git LFS pointer?)" } else { "" };
        return Err(container(format!(
            "the header would have {length} bytes; at most {MAX_HEADER_BYTES} are allowed{looks}"
        )));
    }
    let Some(header) = rest.get(..length as usize) else {
        return Err(container(format!(
            "the header has {length} bytes, but the file ends after {}: was it cut?",
            rest.len()
        )));
    };
    let Header(entries) =
        serde_json::from_slice(header).map_err(|error| container(format!("the header is wrong: {error}")))?;
    let Some(storage) = data.slice(8 + header.len(), data.len()) else { return Err(container("no data".into())) };

    let mut tensors = Vec::with_capacity(entries.len());
    let mut places = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let failed = |problem| CheckpointError::Tensor { path: path.to_owned(), name: name.clone(), problem };
        let range = (entry.data_offsets.0, entry.data_offsets.1);
        let Some(tensor) = tensor(&name, entry, file, &storage).map_err(failed)? else { continue };
        places.push((range, name));
        tensors.push(tensor);
    }
    places.sort();
    for pair in places.windows(2) {
        let ((_, other), (next, name)) = (&pair[0], &pair[1]);
        let ((_, end), (start, next_end)) = (pair[0].0, *next);
        if other == name || start < end && next_end > start {
            let problem = match other == name {
                true => TensorProblem::Twice,
                false => TensorProblem::Overlap { start, other: other.clone() },
            };
            return Err(CheckpointError::Tensor { path: path.to_owned(), name: name.clone(), problem });
        }
    }
    Ok(tensors)
}

/// A tensor of an entry; none for a type nobody here reads, such as complex numbers, which no weight has.
fn tensor(name: &str, entry: Entry, file: usize, storage: &TensorData) -> Result<Option<StoredTensor>, TensorProblem> {
    let dtype = DType::from_name(&entry.dtype).ok_or(TensorProblem::Type { found: entry.dtype })?;
    let (start, end) = entry.data_offsets;
    let needed = elements(&entry.shape)? * dtype.bytes();
    if end.checked_sub(start) != Some(needed) {
        return Err(TensorProblem::Length { shape: entry.shape, dtype, needed, start, end });
    }
    let part = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let Some(part) = part.and_then(|(start, end)| storage.slice(start, end)) else {
        return Err(TensorProblem::PastEnd { end, file: storage.len() as u64 });
    };
    let view = View { storage: &part, offset: 0, strides: None };
    StoredTensor::new(name.to_owned(), entry.shape, dtype, file, view).map(Some)
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The entries in the order of the file, one name perhaps twice.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
