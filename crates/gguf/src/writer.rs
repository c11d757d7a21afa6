//! Metadata and tensors → a GGUF file, or several.
//!
//! Tensors are described first and their data is asked for when it is its turn, so that a converter holds one tensor
//! at a time. Invariant: what is written is what the reader accepts, because each header is read back before the
//! first byte leaves, and every tensor's data is counted.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::encode::encode;
use crate::error::shown;
use crate::parse::{ALIGNMENT_KEY, alignment, parse};
use crate::place::Extent;
use crate::split::{MAX_PARTS, SPLIT_COUNT_KEY, SPLIT_NUMBER_KEY, SPLIT_TENSORS_KEY, part_path};
use crate::{AtomicFile, Gguf, Malformed, Metadata, TensorData, TensorInfo, TensorType, Value};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output failed.
    #[error("cannot write GGUF: {0}")]
    Io(#[from] io::Error),
    /// A file could not be made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Key or tensor would not be readable.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The data of a tensor has another length than its shape and type say.
    #[error("tensor `{name}` was given {found} bytes, its shape and type need {wanted}")]
    DataLength {
        /// The tensor.
        name: String,
        /// Bytes given.
        found: u64,
        /// Bytes needed.
        wanted: u64,
    },
    /// The limit asked for makes too many parts.
    #[error("the split would have {found} parts; at most {MAX_PARTS} are possible")]
    Parts {
        /// Parts needed.
        found: u64,
    },
}

/// Writes the bytes of a tensor when it is its turn.
pub type Produce<'a> = Box<dyn FnMut(&mut dyn Write) -> io::Result<()> + Send + 'a>;

/// Where the data of a tensor to be written comes from.
pub enum TensorSource<'a> {
    /// Bytes that are there.
    Bytes(&'a [u8]),
    /// Bytes of another file, or handed over.
    Shared(TensorData),
    /// A function that writes them; called once for each time the file is written.
    Stream(Produce<'a>),
}

impl<'a> TensorSource<'a> {
    /// Data that `produce` writes when it is the tensor's turn.
    pub fn stream(produce: impl FnMut(&mut dyn Write) -> io::Result<()> + Send + 'a) -> TensorSource<'a> {
        TensorSource::Stream(Box::new(produce))
    }
}

impl<'a> From<&'a [u8]> for TensorSource<'a> {
    fn from(bytes: &'a [u8]) -> TensorSource<'a> {
        TensorSource::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for TensorSource<'a> {
    fn from(bytes: &'a Vec<u8>) -> TensorSource<'a> {
        TensorSource::Bytes(bytes)
    }
}

impl From<Vec<u8>> for TensorSource<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        TensorSource::Shared(bytes.into())
    }
}

impl From<TensorData> for TensorSource<'_> {
    fn from(data: TensorData) -> Self {
        TensorSource::Shared(data)
    }
}

/// When a new part of a split model begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitLimit {
    /// A part has at most so many bytes of tensor data, or one tensor.
    Bytes(u64),
    /// A part has at most so many tensors.
    Tensors(usize),
}

/// Whether the first part of a split model has tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstPart {
    /// As the others.
    #[default]
    Filled,
    /// It has the keys alone: small, and all that has to be fetched to know the model.
    KeysAlone,
}

/// In which order the keys of a split stand: the field's tools differ, and files are compared by their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitKeyOrder {
    /// Number, tensors, count: llama-gguf-split's.
    CountLast,
    /// Number, count, tensors: llama-quantize's.
    TensorsLast,
}

/// Told of each piece of a tensor that was copied: name and bytes. An error stops the writing.
pub type CopyReport<'r> = dyn Fn(&str, u64) -> io::Result<()> + Sync + 'r;

/// Bytes of a tensor copied at a time.
const PIECE_BYTES: usize = 8 << 20;

/// A file to be written.
pub struct GgufWriter<'a> {
    metadata: Metadata,
    tensors: Vec<Pending<'a>>,
    names: HashSet<String>,
}

struct Pending<'a> {
    info: TensorInfo,
    source: TensorSource<'a>,
}

impl<'a> GgufWriter<'a> {
    /// A file with `metadata` and no tensors. `general.alignment` in it sets where tensors start.
    pub fn new(metadata: Metadata) -> GgufWriter<'a> {
        GgufWriter { metadata, tensors: Vec::new(), names: HashSet::new() }
    }

    /// A file like `gguf`: in one piece where that is split.
    pub fn copy_of(gguf: &Gguf) -> Result<GgufWriter<'a>, WriteError> {
        let mut metadata = gguf.metadata().clone();
        for key in [SPLIT_NUMBER_KEY, SPLIT_COUNT_KEY, SPLIT_TENSORS_KEY] {
            metadata.remove(key);
        }
        let mut writer = GgufWriter::new(metadata);
        writer.add_all(gguf, &|_, _| Ok(()))?;
        Ok(writer)
    }

    /// Appends every tensor of `gguf`, copied in pieces of which `report` is told.
    pub fn add_all(&mut self, gguf: &Gguf, report: &'a CopyReport<'a>) -> Result<(), WriteError> {
        for tensor in gguf.tensors() {
            let (name, data) = (tensor.name.clone(), gguf.data(tensor));
            let source = TensorSource::stream(move |out| copy(&data, out, &|bytes| report(&name, bytes)));
            self.add(&tensor.name, tensor.shape.as_slice(), tensor.tensor_type, source)?;
        }
        Ok(())
    }

    /// The keys.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The keys, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Appends a tensor; `shape` has the fastest dimension first.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<u64>>,
        tensor_type: TensorType,
        source: impl Into<TensorSource<'a>>,
    ) -> Result<(), WriteError> {
        let (info, source) = (TensorInfo::new(name, shape, tensor_type)?, source.into());
        if self.names.contains(&info.name) {
            return Err(Malformed::DuplicateTensor { name: shown(&info.name) }.into());
        }
        let given = match &source {
            TensorSource::Bytes(bytes) => Some(bytes.len() as u64),
            TensorSource::Shared(data) => Some(data.len() as u64),
            TensorSource::Stream(_) => None,
        };
        if let Some(found) = given.filter(|&given| given != info.bytes()) {
            return Err(WriteError::DataLength { name: shown(&info.name), found, wanted: info.bytes() });
        }
        self.names.insert(info.name.clone());
        self.tensors.push(Pending { info, source });
        Ok(())
    }

    /// Writes the file and gives the number of bytes.
    pub fn write_to(&mut self, out: impl Write) -> Result<u64, WriteError> {
        write_part(&self.metadata, &mut self.tensors, out)
    }

    /// Writes all but the tensor data, as [`Gguf::open_header`] reads it.
    pub fn write_header_to(&self, mut out: impl Write) -> Result<u64, WriteError> {
        let infos: Vec<&TensorInfo> = self.tensors.iter().map(|tensor| &tensor.info).collect();
        let header = header(&self.metadata, &infos)?;
        out.write_all(&header)?;
        out.flush()?;
        Ok(header.len() as u64)
    }

    /// Writes the file at `path`, which appears whole or not at all; gives the number of bytes.
    pub fn write_file(&mut self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        let (file, bytes) = closed_file(path.as_ref(), |file| self.write_to(file))?;
        commit(file)?;
        Ok(bytes)
    }

    /// Writes the model in parts `prefix-00001-of-0000N.gguf`; gives their paths. The keys go into the first part.
    /// The parts get their names when all are written, the first one last.
    pub fn write_split(&mut self, prefix: impl AsRef<Path>, limit: SplitLimit) -> Result<Vec<PathBuf>, WriteError> {
        let lengths = self.part_lengths(limit, FirstPart::Filled)?;
        self.write_parts(prefix, &lengths, SplitKeyOrder::CountLast)
    }

    /// As [`GgufWriter::write_split`], with so many tensors in each part; what is missing in `lengths` goes into the last.
    pub fn write_parts(
        &mut self,
        prefix: impl AsRef<Path>,
        lengths: &[usize],
        order: SplitKeyOrder,
    ) -> Result<Vec<PathBuf>, WriteError> {
        let prefix = prefix.as_ref();
        let count = lengths.len() as u64;
        if count > MAX_PARTS {
            return Err(WriteError::Parts { found: count });
        }
        let total = self.tensors.len();
        let mut rest = self.tensors.as_mut_slice();
        let mut files = Vec::new();
        for (number, &length) in (0..count).zip(lengths) {
            let length = if number + 1 == count { rest.len() } else { length.min(rest.len()) };
            let (part, after) = rest.split_at_mut(length);
            rest = after;
            let metadata = part_metadata(&self.metadata, number, count, total, order);
            let path = part_path(prefix, number + 1, count);
            let (file, _) = closed_file(&path, |file| write_part(&metadata, part, file))?;
            files.push(file);
        }
        let paths = files.iter().map(|file| file.target().to_owned()).collect();
        for file in files.into_iter().rev() {
            commit(file)?;
        }
        Ok(paths)
    }

    /// Number of tensors of each part.
    pub fn part_lengths(&self, limit: SplitLimit, first: FirstPart) -> Result<Vec<usize>, WriteError> {
        let alignment = alignment(&self.metadata)?;
        let mut lengths = match first {
            FirstPart::Filled => vec![0usize],
            FirstPart::KeysAlone => vec![0, 0],
        };
        let mut part_bytes = 0u64;
        for tensor in &self.tensors {
            let bytes = tensor.info.bytes().next_multiple_of(alignment);
            let length = lengths.last().copied().unwrap_or(0);
            let full = match limit {
                SplitLimit::Bytes(most) => part_bytes.saturating_add(bytes) > most,
                SplitLimit::Tensors(most) => length >= most,
            };
            if full && length > 0 {
                lengths.push(0);
                part_bytes = 0;
            }
            part_bytes = part_bytes.saturating_add(bytes);
            if let Some(length) = lengths.last_mut() {
                *length += 1;
            }
        }
        Ok(lengths)
    }
}

/// Copies `data`, and gives back the memory of what is copied.
fn copy(data: &TensorData, out: &mut dyn Write, report: &dyn Fn(u64) -> io::Result<()>) -> io::Result<()> {
    for piece in data.chunks(PIECE_BYTES) {
        out.write_all(piece)?;
        data.release();
        report(piece.len() as u64)?;
    }
    Ok(())
}

/// The keys of part `number` (from 0): all in the first, elsewhere what is needed to read the part.
fn part_metadata(model: &Metadata, number: u64, count: u64, tensors: usize, order: SplitKeyOrder) -> Metadata {
    let mut metadata = Metadata::new();
    if number == 0 {
        metadata = model.clone();
        for key in [SPLIT_NUMBER_KEY, SPLIT_COUNT_KEY, SPLIT_TENSORS_KEY] {
            metadata.remove(key);
        }
    } else if let Some(alignment) = model.get(ALIGNMENT_KEY) {
        metadata.insert(ALIGNMENT_KEY, alignment.clone());
    }
    // The widths are those of the field's other tools; the caller has bounded both numbers.
    metadata.insert(SPLIT_NUMBER_KEY, number as u16);
    if order == SplitKeyOrder::TensorsLast {
        metadata.insert(SPLIT_COUNT_KEY, count as u16);
    }
    metadata.insert(SPLIT_TENSORS_KEY, i32::try_from(tensors).map_or(Value::U64(tensors as u64), Value::I32));
    metadata.insert(SPLIT_COUNT_KEY, count as u16); // in its place where it is there
    metadata
}

fn write_part(metadata: &Metadata, tensors: &mut [Pending<'_>], mut out: impl Write) -> Result<u64, WriteError> {
    let infos: Vec<&TensorInfo> = tensors.iter().map(|tensor| &tensor.info).collect();
    let header = header(metadata, &infos)?;
    let alignment = alignment(metadata)?;
    out.write_all(&header)?;
    let mut written = header.len() as u64;
    for tensor in tensors {
        let wanted = tensor.info.bytes();
        let mut counted = Counted { out: &mut out, bytes: 0 };
        match &mut tensor.source {
            TensorSource::Bytes(bytes) => counted.write_all(bytes)?,
            TensorSource::Shared(data) => copy(data, &mut counted, &|_| Ok(()))?,
            TensorSource::Stream(produce) => produce(&mut counted)?,
        }
        let found = counted.bytes;
        if found != wanted {
            return Err(WriteError::DataLength { name: shown(&tensor.info.name), found, wanted });
        }
        // The last tensor is padded too: other readers take the data section in one piece.
        let padded = wanted.next_multiple_of(alignment);
        io::copy(&mut io::Read::take(io::repeat(0), padded - wanted), &mut out)?;
        written += padded;
    }
    out.flush()?;
    Ok(written)
}

/// The header of a file, padded to where its data starts, and known to be readable.
fn header(metadata: &Metadata, tensors: &[&TensorInfo]) -> Result<Vec<u8>, Malformed> {
    let alignment = alignment(metadata)?;
    let mut offsets = Vec::with_capacity(tensors.len());
    let mut offset = 0u64;
    for tensor in tensors {
        offsets.push(offset);
        let (name, bytes) = (&tensor.name, tensor.bytes());
        offset = offset.checked_add(bytes.next_multiple_of(alignment)).ok_or_else(|| Malformed::TensorOffset {
            name: shown(name),
            offset,
            bytes,
        })?;
    }
    let mut header = encode(metadata, tensors, &offsets);
    parse(&header, Extent::Header)?;
    header.resize(header.len().next_multiple_of(alignment as usize), 0);
    Ok(header)
}

fn closed_file(
    path: &Path,
    write: impl FnOnce(&mut AtomicFile) -> Result<u64, WriteError>,
) -> Result<(AtomicFile, u64), WriteError> {
    let failed = |source: io::Error| WriteError::File { path: path.to_owned(), source };
    let mut file = AtomicFile::create(path).map_err(failed)?;
    let bytes = write(&mut file).map_err(|error| match error {
        WriteError::Io(source) => failed(source),
        other => other,
    })?;
    file.close().map_err(failed)?;
    Ok((file, bytes))
}

fn commit(file: AtomicFile) -> Result<(), WriteError> {
    let path = file.target().to_owned();
    file.commit().map_err(|source| WriteError::File { path, source })
}

/// Counts what passes.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
