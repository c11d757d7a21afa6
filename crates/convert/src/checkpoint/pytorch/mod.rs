//! PyTorch's files: a zip archive with a pickle that describes the tensors and a file for each storage.
//!
//! `NAME/data.pkl` is read by a machine that knows how tensors are described and nothing else ([`pickle`]); the storages
//! `NAME/data/KEY` are not compressed, so tensors stay where they lie in the mapped file. Source: the serialisation notes
//! at docs.pytorch.org, and `torch/serialization.py`.

mod globals;
mod pickle;

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

use ascua_gguf::TensorData;
use zip::{CompressionMethod, ZipArchive};

use self::pickle::PickledTensor;
use super::tensor::{StoredTensor, View};
use super::{CheckpointError, TensorProblem};

/// Longest pickle that is read; one of a thousand tensors has a tenth of a megabyte.
const MAX_PICKLE_BYTES: u64 = 1 << 26;
/// How the files begin that PyTorch wrote before version 1.6: a pickle of a magic number.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

pub(super) fn read(path: &Path, file: usize) -> Result<Vec<StoredTensor>, CheckpointError> {
    let data = TensorData::map(path)?;
    let container = |problem: String| CheckpointError::Container { path: path.to_owned(), problem };
    if data.starts_with(LEGACY_MAGIC) {
        return Err(container(
            "is of the format before PyTorch 1.6; load and save it once with a newer PyTorch, or as safetensors".into(),
        ));
    }
    if !data.starts_with(b"PK") {
        let looks = if data.starts_with(b"version https://git-lfs") { " (a Git LFS pointer?)" } else { "" };
        return Err(container(format!("is no zip archive as PyTorch writes them{looks}")));
    }
    let archive = Archive::open(&data).map_err(container)?;
    let (prefix, pickle) = archive.pickle().map_err(container)?;
    let tensors = pickle::read(&pickle).map_err(|problem| match problem {
        pickle::Problem::Refused { global } => CheckpointError::Refused { path: path.to_owned(), global },
        pickle::Problem::Wrong(problem) => container(format!("the pickle is wrong: {problem}")),
    })?;
    let mut storages = HashMap::new();
    let mut stored = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let failed = |problem| CheckpointError::Tensor { path: path.to_owned(), name: name.clone(), problem };
        let key = tensor.storage.key.clone();
        if !storages.contains_key(&key) {
            let found = archive.storage(&format!("{prefix}data/{key}")).map_err(container)?;
            let found = found.ok_or_else(|| failed(TensorProblem::NoStorage { key: key.clone() }))?;
            storages.insert(key.clone(), found);
        }
        let tensor = placed(&name, tensor, &storages[&key], file).map_err(failed)?;
        stored.push(tensor);
    }
    Ok(stored)
}

fn placed(name: &str, tensor: PickledTensor, storage: &TensorData, file: usize) -> Result<StoredTensor, TensorProblem> {
    let dtype = tensor.dtype.ok_or(TensorProblem::Type { found: tensor.type_name })?;
    let view = View { storage, offset: tensor.offset, strides: Some(tensor.strides) };
    StoredTensor::new(name.to_owned(), tensor.shape, dtype, file, view)
}

/// The zip archive, by the names of its files.
struct Archive<'a> {
    data: &'a TensorData,
    members: HashMap<String, Member>,
}

struct Member {
    start: u64,
    size: u64,
    method: CompressionMethod,
}

impl<'a> Archive<'a> {
    fn open(data: &'a TensorData) -> Result<Archive<'a>, String> {
        let damaged = |error: zip::result::ZipError| format!("the zip archive is damaged: {error}: was the file cut?");
        let mut zip = ZipArchive::new(Cursor::new(&data[..])).map_err(damaged)?;
        let mut members = HashMap::new();
        for number in 0..zip.len() {
            let member = zip.by_index_raw(number).map_err(damaged)?;
            let name = member.name().map_err(damaged)?.into_owned();
            let start = member.data_start().unwrap_or(u64::MAX);
            members.insert(name, Member { start, size: member.size(), method: member.compression() });
        }
        Ok(Archive { data, members })
    }

    /// The directory of the archive, with a slash, and the pickle in it.
    fn pickle(&self) -> Result<(String, Vec<u8>), String> {
        let mut found = self.members.keys().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        let name = found.next().ok_or("has no `data.pkl`: not a checkpoint of PyTorch")?;
        let prefix = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
        if let Some(order) = self.storage(&format!("{prefix}byteorder"))?
            && &order[..] != b"little"
        {
            return Err("was written on a big-endian machine; only little-endian files are read".into());
        }
        let pickle = self.storage(name)?.unwrap_or_else(|| TensorData::from(Vec::new()));
        if pickle.len() as u64 > MAX_PICKLE_BYTES {
            return Err(format!("`{name}` has {} bytes; at most {MAX_PICKLE_BYTES} are read", pickle.len()));
        }
        let mut bytes = Vec::with_capacity(pickle.len());
        Cursor::new(&pickle[..]).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok((prefix, bytes))
    }

    /// The bytes of a member, where they lie.
    fn storage(&self, name: &str) -> Result<Option<TensorData>, String> {
        let Some(member) = self.members.get(name) else { return Ok(None) };
        if member.method != CompressionMethod::Stored {
            return Err(format!("`{name}` is compressed, which PyTorch's own files never are"));
        }
        let end = member.start.checked_add(member.size);
        let range = end.and_then(|end| Some((usize::try_from(member.start).ok()?, usize::try_from(end).ok()?)));
        match range.and_then(|(start, end)| self.data.slice(start, end)) {
            Some(data) => Ok(Some(data)),
            None => Err(format!("`{name}` ends past the end of the file: was it cut?")),
        }
    }
}
