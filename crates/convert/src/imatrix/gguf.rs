//! The GGUF format, read and written: for each weight `NAME.in_sum2` (sums) and `NAME.counts`, both F32, and three keys.

use std::collections::BTreeMap;
use std::path::Path;

use ascua_gguf::{Array, Gguf, GgufWriter, Metadata, StringArray, TensorInfo, TensorType, Value, WriteError};

use super::{Entry, ImatrixError, ImportanceMatrix};

pub(crate) const DATASETS_KEY: &str = "imatrix.datasets";
pub(crate) const CHUNK_COUNT_KEY: &str = "imatrix.chunk_count";
pub(crate) const CHUNK_SIZE_KEY: &str = "imatrix.chunk_size";
pub(crate) const SUMS_SUFFIX: &str = ".in_sum2";
pub(crate) const COUNTS_SUFFIX: &str = ".counts";

pub(super) fn read(path: &Path) -> Result<ImportanceMatrix, ImatrixError> {
    let gguf = Gguf::open(path)?;
    let number = |key: &'static str| {
        let found = gguf.metadata().unsigned(key).ok().flatten().and_then(|number| u32::try_from(number).ok());
        found.ok_or(ImatrixError::Key { path: path.to_owned(), key, wanted: "a 32-bit number" })
    };
    let datasets = gguf.metadata().strings(DATASETS_KEY).ok().flatten().ok_or(ImatrixError::Key {
        path: path.to_owned(),
        key: DATASETS_KEY,
        wanted: "a list of strings",
    })?;
    let datasets = datasets.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let (chunk_count, chunk_size) = (number(CHUNK_COUNT_KEY)?, number(CHUNK_SIZE_KEY)?);

    let mut pairs: BTreeMap<&str, [Option<&TensorInfo>; 2]> = BTreeMap::new();
    for tensor in gguf.tensors() {
        for (side, suffix) in [SUMS_SUFFIX, COUNTS_SUFFIX].into_iter().enumerate() {
            if let Some(name) = tensor.name.strip_suffix(suffix) {
                pairs.entry(name).or_default()[side] = Some(tensor);
            }
        }
    }
    let mut entries = BTreeMap::new();
    for (name, pair) in pairs {
        let wrong = |problem: String| ImatrixError::Pair { path: path.to_owned(), name: name.to_owned(), problem };
        let floats = |side: usize, suffix: &str| {
            let tensor = pair[side].ok_or_else(|| wrong(format!("there is no tensor `{name}{suffix}`")))?;
            if tensor.tensor_type != TensorType::F32 {
                return Err(wrong(format!("`{name}{suffix}` is {}, wanted F32", tensor.tensor_type)));
            }
            let data = gguf.data(tensor);
            Ok(data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<_>>())
        };
        let (sums, counts) = (floats(0, SUMS_SUFFIX)?, floats(1, COUNTS_SUFFIX)?);
        if counts.is_empty() || sums.len() % counts.len() != 0 {
            return Err(wrong(format!("{} sums cannot be shared by {} counts", sums.len(), counts.len())));
        }
        // Saturating: what is negative or no number counts as none.
        let counts = counts.into_iter().map(|count| count.round() as u64).collect();
        entries.insert(name.to_owned(), Entry { sums, counts });
    }
    Ok(ImportanceMatrix { entries, datasets, chunk_count, chunk_size })
}

pub(super) fn write(matrix: &ImportanceMatrix, path: &Path) -> Result<(), WriteError> {
    let mut metadata = Metadata::new();
    metadata.insert("general.type", "imatrix");
    let datasets: StringArray = matrix.datasets.iter().map(String::as_str).collect();
    metadata.insert(DATASETS_KEY, Value::Array(Array::String(datasets)));
    metadata.insert(CHUNK_COUNT_KEY, matrix.chunk_count);
    metadata.insert(CHUNK_SIZE_KEY, matrix.chunk_size);
    let mut writer = GgufWriter::new(metadata);
    for (name, Entry { sums, counts }) in &matrix.entries {
        let matrices = counts.len() as u64;
        let counts: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        for (suffix, values) in [(SUMS_SUFFIX, sums), (COUNTS_SUFFIX, &counts)] {
            let columns = values.len() as u64 / matrices.max(1);
            // One matrix is no dimension of its own.
            let shape = if matrices > 1 { vec![columns, matrices] } else { vec![columns] };
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            writer.add(format!("{name}{suffix}"), shape, TensorType::F32, bytes)?;
        }
    }
    writer.write_file(path)?;
    Ok(())
}
