//! The files of a checkpoint: one, or several with an index that says which tensor is where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::tensor::StoredTensor;
use super::{CheckpointError, pytorch, read_json, safetensors};

/// Names of indexes, the preferred first.
const INDEXES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
/// Beginnings and endings of weights' names, the preferred first. Those without a beginning must be alone.
const WEIGHTS: [(&str, &str); 5] =
    [("model", ".safetensors"), ("pytorch_model", ".bin"), ("", ".safetensors"), ("", ".pt"), ("", ".pth")];
/// Names of files of the same endings that are not the model's weights.
const OTHERS: [&str; 5] = ["adapter_model", "training_args", "optimizer", "scheduler", "rng_state"];

/// The files that were found.
pub(super) struct Found {
    pub paths: Vec<PathBuf>,
    index: Option<Index>,
}

struct Index {
    name: &'static str,
    /// File of each tensor.
    weight_map: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct IndexFile {
    weight_map: BTreeMap<String, String>,
}

/// Whether a directory seems to hold a checkpoint.
pub(crate) fn has_weights(directory: &Path) -> bool {
    find(directory).is_ok() || INDEXES.iter().any(|index| directory.join(index).is_file())
}

/// Finds the files of the checkpoint in `directory`.
pub(super) fn find(directory: &Path) -> Result<Found, CheckpointError> {
    if !directory.is_dir() {
        return Err(CheckpointError::NotDirectory { path: directory.to_owned() });
    }
    for name in INDEXES {
        if let Some(IndexFile { weight_map }) = read_json(&directory.join(name))? {
            return indexed(directory, Index { name, weight_map });
        }
    }
    let entries =
        std::fs::read_dir(directory).map_err(|source| CheckpointError::Io { path: directory.to_owned(), source })?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.retain(|name| !OTHERS.iter().any(|other| name.starts_with(other)));
    for (beginning, ending) in WEIGHTS {
        let fits = |name: &&String| name.starts_with(beginning) && name.ends_with(ending);
        let fitting: Vec<&String> = names.iter().filter(fits).collect();
        if fitting.is_empty() || beginning.is_empty() && fitting.len() > 1 {
            continue;
        }
        check_numbers(directory, &fitting)?;
        let paths = fitting.into_iter().map(|name| directory.join(name)).collect();
        return Ok(Found { paths, index: None });
    }
    Err(CheckpointError::NoWeights { path: directory.to_owned() })
}

fn indexed(directory: &Path, index: Index) -> Result<Found, CheckpointError> {
    let mut by_file: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (tensor, file) in &index.weight_map {
        by_file.entry(file).or_insert((0, tensor)).0 += 1;
    }
    let mut paths = Vec::new();
    for (file, (count, tensor)) in by_file {
        let path = directory.join(file);
        // A name that leads out of the directory is no name of a part.
        let is_plain = Path::new(file).file_name().is_some_and(|name| name == file);
        if !is_plain || !path.is_file() {
            let (index, name) = (index.name.to_owned(), tensor.to_owned());
            return Err(CheckpointError::MissingPart { path, index, count, name });
        }
        paths.push(path);
    }
    if paths.is_empty() {
        return Err(CheckpointError::NoWeights { path: directory.to_owned() });
    }
    Ok(Found { paths, index: Some(index) })
}

/// Of files called `…-00001-of-00003…` all are to be there.
fn check_numbers(directory: &Path, names: &[&String]) -> Result<(), CheckpointError> {
    for name in names {
        let Some((before, after)) = name.split_once("-of-") else { continue };
        let Some((stem, number)) = before.rsplit_once('-') else { continue };
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (Ok(_), Ok(count)) = (number.parse::<usize>(), after[..digits].parse::<usize>()) else { continue };
        // A count past the number of files there are: the first that is missing is told.
        for part in 1..=count.min(names.len() + 1) {
            let wanted = format!("{stem}-{part:0width$}-of-{after}", width = number.len());
            if !names.iter().any(|name| **name == wanted) {
                return Err(CheckpointError::MissingNumber { path: directory.join(wanted), part, count });
            }
        }
    }
    Ok(())
}

/// The tensors of a file, of the format its name says.
pub(super) fn read(path: &Path, number: usize) -> Result<Vec<StoredTensor>, CheckpointError> {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        safetensors::read(path, number)
    } else {
        pytorch::read(path, number)
    }
}

impl Found {
    /// A tensor is where the index says.
    pub fn check_place(&self, path: &Path, name: &str) -> Result<(), CheckpointError> {
        let Some(index) = &self.index else { return Ok(()) };
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        match index.weight_map.get(name) {
            Some(place) if *place == file => Ok(()),
            _ => Err(CheckpointError::NotInIndex {
                path: path.to_owned(),
                name: name.to_owned(),
                index: index.name.into(),
            }),
        }
    }

    /// Every tensor of the index is there.
    pub fn check_complete(&self, tensors: &BTreeMap<String, StoredTensor>) -> Result<(), CheckpointError> {
        let Some(index) = &self.index else { return Ok(()) };
        match index.weight_map.iter().find(|(name, _)| !tensors.contains_key(*name)) {
            None => Ok(()),
            Some((name, file)) => {
                let path = self.paths.iter().find(|path| path.ends_with(file)).cloned().unwrap_or_default();
                Err(CheckpointError::MissingTensor { path, name: name.clone(), index: index.name.into() })
            }
        }
    }
}
