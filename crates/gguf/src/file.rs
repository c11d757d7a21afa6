//! A GGUF model on disk: its metadata, its tensors and their bytes, mapped without a copy.
//!
//! Opening checks everything that can be checked without touching the tensor data, so that later stages never meet a
//! bad offset. A split model is opened by its first part and looks like one file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::shown;
use crate::limits::DEFAULT_ALIGNMENT;
use crate::parse::{Header, alignment, parse};
use crate::place::Extent;
use crate::split::{SplitKeys, part_path, part_prefix, split_keys};
use crate::storage::Storage;
use crate::{GgufError, Malformed, Metadata, TensorData, TensorInfo};

/// An open model file.
#[derive(Debug)]
pub struct Gguf {
    version: u32,
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
    names: HashMap<Arc<str>, usize>,
    parts: Vec<Part>,
    extent: Extent,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    storage: Storage,
}

/// What [`GgufError::Malformed`] calls a file that was given as bytes.
const MEMORY: &str = "<memory>";

impl Gguf {
    /// Maps the model at `path`; where it is the first part of a split model, the other parts too.
    ///
    /// The files must stay as they are while the model is open: where one is shortened, touching what is gone ends the
    /// process (`SIGBUS` on Unix). To replace a file by renaming another onto it is safe.
    pub fn open(path: impl AsRef<Path>) -> Result<Gguf, GgufError> {
        let path = path.as_ref();
        let mut gguf = Gguf::open_part(path)?;
        if let Some(split) = split_keys(&gguf.metadata).map_err(|problem| malformed(path, problem.into()))? {
            gguf.open_parts(split)?;
        }
        Ok(gguf)
    }

    /// Maps the one file at `path` with its tensor data, even where it is a part of a split model; the other parts are left
    /// alone.
    pub fn open_part(path: impl AsRef<Path>) -> Result<Gguf, GgufError> {
        Gguf::open_one(path.as_ref(), Extent::Whole)
    }

    /// Maps the one file at `path` for its metadata and its list of tensors. The tensor data may be missing (as in
    /// vocabulary-only files), the other parts of a split model are left alone, and [`Gguf::data`] is empty.
    pub fn open_header(path: impl AsRef<Path>) -> Result<Gguf, GgufError> {
        Gguf::open_one(path.as_ref(), |_| Extent::Header)
    }

    /// Reads a model that is already in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Gguf, GgufError> {
        let storage = Storage::from(bytes.into());
        let extent = Extent::Whole(storage.len() as u64);
        Gguf::from_storage(storage, extent)
    }

    /// Reads a header that is already in memory; otherwise as [`Gguf::open_header`].
    pub fn header_from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Gguf, GgufError> {
        Gguf::from_storage(Storage::from(bytes.into()), Extent::Header)
    }

    /// Version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the places of tensors are multiples of.
    pub fn alignment(&self) -> u64 {
        // Opening has refused what is none.
        alignment(&self.metadata).unwrap_or(DEFAULT_ALIGNMENT)
    }

    /// The model's keys; those of the first part where the model is split.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Every tensor, in the order of the file, then of the parts.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.names.get(name).map(|&index| &self.tensors[index])
    }

    /// The bytes of one of this model's tensors: [`TensorInfo::bytes`] of them, at an address that is a multiple of
    /// the file's alignment (8 at least) where the file is mapped. Empty where the model was opened for its header
    /// alone, or the tensor is another model's.
    pub fn data(&self, tensor: &TensorInfo) -> TensorData {
        match (self.extent, self.parts.get(tensor.part())) {
            (Extent::Whole(_), Some(part)) => TensorData::new(&part.storage, tensor.start(), tensor.bytes()),
            _ => TensorData::from(Vec::new()),
        }
    }

    /// Whether the tensor data is there: not where the model was opened for its header alone.
    pub fn has_data(&self) -> bool {
        self.extent != Extent::Header
    }

    /// Tells the operating system to start reading the files from the disk; returns at once. A hint: where it has no
    /// effect, pages come in when they are touched.
    pub fn prefetch(&self) {
        for part in &self.parts {
            part.storage.prefetch();
        }
    }

    /// Bytes of all files of the model.
    pub fn file_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.storage.len() as u64).sum()
    }

    /// The files of the model, the first part first; `<memory>` for a model that was given as bytes.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.parts.iter().map(|part| part.path.as_path())
    }

    fn from_storage(storage: Storage, extent: Extent) -> Result<Gguf, GgufError> {
        let path = Path::new(MEMORY);
        let header = parse(&storage, extent).map_err(|problem| malformed(path, problem))?;
        let split = split_keys(&header.metadata).map_err(|problem| malformed(path, problem.into()))?;
        if let (Extent::Whole(_), Some(SplitKeys { count, .. })) = (extent, split) {
            return Err(malformed(path, Malformed::PartWithoutPath { count }));
        }
        Ok(Gguf::of_one(header, Part { path: path.to_owned(), storage }, extent))
    }

    fn open_one(path: &Path, extent: impl FnOnce(u64) -> Extent) -> Result<Gguf, GgufError> {
        let storage = Storage::map(path)?;
        let extent = extent(storage.len() as u64);
        let header = parse(&storage, extent).map_err(|problem| malformed(path, problem))?;
        Ok(Gguf::of_one(header, Part { path: path.to_owned(), storage }, extent))
    }

    fn of_one(header: Header, part: Part, extent: Extent) -> Gguf {
        let Header { version, metadata, tensors } = header;
        let names = tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str().into(), index)).collect();
        Gguf { version, metadata, tensors, names, parts: vec![part], extent }
    }

    /// Opens the parts after the first and takes over their tensors.
    fn open_parts(&mut self, split: SplitKeys) -> Result<(), GgufError> {
        let first = self.parts[0].path.clone();
        let SplitKeys { number, count, tensors } = split;
        let Some(prefix) = part_prefix(&first, number + 1, count) else {
            return Err(GgufError::PartName { path: first, count });
        };
        if number != 0 {
            let part = number + 1;
            return Err(GgufError::NotFirstPart { path: first, part, count, first: part_path(&prefix, 1, count) });
        }
        for part in 2..=count {
            self.add_part(part_path(&prefix, part, count), part, count)?;
        }
        let found = self.tensors.len() as u64;
        match tensors {
            Some(wanted) if wanted != found => Err(GgufError::PartTensors { path: first, count, found, wanted }),
            _ => Ok(()),
        }
    }

    fn add_part(&mut self, path: PathBuf, part: u64, count: u64) -> Result<(), GgufError> {
        let storage = match Storage::map(&path) {
            Err(GgufError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(GgufError::MissingPart { path, part, count });
            }
            other => other?,
        };
        let extent = Extent::Whole(storage.len() as u64);
        let header = parse(&storage, extent).map_err(|problem| malformed(&path, problem))?;
        let keys = split_keys(&header.metadata).map_err(|problem| malformed(&path, problem.into()))?;
        let (found_part, found_count) = keys.map_or((1, 1), |keys| (keys.number + 1, keys.count));
        if (found_part, found_count) != (part, count) {
            return Err(GgufError::WrongPart { path, found_part, found_count, part, count });
        }
        for mut tensor in header.tensors {
            let name: Arc<str> = tensor.name.as_str().into();
            if self.names.insert(name, self.tensors.len()).is_some() {
                return Err(malformed(&path, Malformed::DuplicateTensor { name: shown(&tensor.name) }));
            }
            tensor.place.part = self.parts.len();
            self.tensors.push(tensor);
        }
        self.parts.push(Part { path, storage });
        Ok(())
    }
}

fn malformed(path: &Path, problem: Malformed) -> GgufError {
    GgufError::Malformed { path: path.to_owned(), problem }
}
