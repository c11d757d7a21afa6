//! Split models: one model in several files, `name-00001-of-00003.gguf` and so on.
//!
//! The first part has the model's metadata; each part says its number (`split.no`, from 0), how many there are
//! (`split.count`) and how many tensors all hold together (`split.tensors.count`).

use std::path::{Path, PathBuf};

use crate::{Metadata, MetadataError};

/// Key of a part's number, from 0.
pub const SPLIT_NUMBER_KEY: &str = "split.no";
/// Key of the number of parts.
pub const SPLIT_COUNT_KEY: &str = "split.count";
/// Key of the number of tensors in all parts.
pub const SPLIT_TENSORS_KEY: &str = "split.tensors.count";

/// Most parts a model can have: `split.count` is written with 16 bits.
pub const MAX_PARTS: u64 = u16::MAX as u64;

/// What a part says about the split it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SplitKeys {
    /// Its number, from 0.
    pub number: u64,
    /// Number of parts, at least 2.
    pub count: u64,
    /// Tensors in all parts.
    pub tensors: Option<u64>,
}

/// The split that `metadata` tells of; `None` for a model in one file.
pub(crate) fn split_keys(metadata: &Metadata) -> Result<Option<SplitKeys>, MetadataError> {
    let count = metadata.unsigned(SPLIT_COUNT_KEY)?.unwrap_or(0);
    if count > MAX_PARTS {
        let wanted = "a number of parts up to 65535";
        return Err(MetadataError::Range { key: SPLIT_COUNT_KEY.to_owned(), found: count.into(), wanted });
    }
    if count < 2 {
        return Ok(None);
    }
    let number = metadata.unsigned(SPLIT_NUMBER_KEY)?.ok_or_else(|| MetadataError::missing(SPLIT_NUMBER_KEY))?;
    if number >= count {
        let wanted = "below `split.count`";
        return Err(MetadataError::Range { key: SPLIT_NUMBER_KEY.to_owned(), found: number.into(), wanted });
    }
    Ok(Some(SplitKeys { number, count, tensors: metadata.unsigned(SPLIT_TENSORS_KEY)? }))
}

/// The path of part `number` (from 1) of `count`, next to `prefix`: `prefix-00001-of-00003.gguf`.
pub fn part_path(prefix: &Path, number: u64, count: u64) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!("-{number:05}-of-{count:05}.gguf"));
    path.into()
}

/// The prefix of a part's path, where the path ends as that of part `number` (from 1) of `count`.
pub fn part_prefix(path: &Path, number: u64, count: u64) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let prefix = name.strip_suffix(&format!("-{number:05}-of-{count:05}.gguf"))?;
    Some(path.with_file_name(prefix)).filter(|_| !prefix.is_empty())
}
