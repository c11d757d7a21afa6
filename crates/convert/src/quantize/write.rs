//! The file: one tensor after the other, all threads on each.
//!
//! A tensor's rows are taken in slabs; of a slab, threads take pieces of a few rows: decode, check, encode. The slab is
//! written while it is warm. The pages of the input are given back once a tensor is done, so that memory does not grow
//! with the model.

use std::io::{self, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ascua_gguf::{
    GgufWriter, Overwrite, SplitKeyOrder, TensorInfo, TensorSource, TensorType, WriteError, check_target, split,
};
use ascua_quant::{QuantError, format};

use super::{Parts, Plan, PlannedTensor, QuantizeError};
use crate::weights::TensorRows;

/// Bytes of output encoded before they are written.
const SLAB_BYTES: usize = 32 << 20;
/// Weights a thread takes at a time: as floats they fit in the second-level cache.
const PIECE_ELEMENTS: usize = 1 << 16;

/// How far the writing is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The tensor at work.
    pub tensor: &'a PlannedTensor,
    /// Bytes of the input that are done.
    pub done: u64,
    /// Bytes of the input.
    pub total: u64,
}

/// Told of the progress; may ask to stop.
type Report<'r> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send + 'r;

impl Plan<'_> {
    /// Writes the model at `path`, which appears whole or not at all; gives the files written. Where there are several,
    /// `path` without `.gguf` is their prefix.
    pub fn write(
        &self,
        path: &Path,
        overwrite: Overwrite,
        report: &mut Report<'_>,
    ) -> Result<Vec<PathBuf>, QuantizeError> {
        self.check()?;
        let progress = Mutex::new((0u64, report));
        let mut writer = self.writer(&progress)?;
        let lengths = self.part_lengths(&writer)?;
        let targets = targets(path, lengths.len());
        for target in &targets {
            check_target(target, self.weights.paths(), overwrite)?;
        }
        if lengths.len() > 1 {
            // Each tool's files have its own order of keys.
            let order = match self.options.parts {
                Parts::One | Parts::AsInput => SplitKeyOrder::TensorsLast,
                Parts::Split { .. } => SplitKeyOrder::CountLast,
            };
            writer.write_parts(prefix(path), &lengths, order).map_err(ours)?;
        } else {
            writer.write_file(path).map_err(ours)?;
        }
        Ok(targets)
    }

    /// The files that [`Plan::write`] would write at `path`.
    ///
    /// # Errors
    /// A tensor cannot stand in a file.
    pub fn targets(&self, path: &Path) -> Result<Vec<PathBuf>, QuantizeError> {
        let nobody: &mut Report<'_> = &mut |_| ControlFlow::Continue(());
        let progress = Mutex::new((0, nobody));
        Ok(targets(path, self.part_lengths(&self.writer(&progress)?)?.len()))
    }

    /// The bytes of the whole file, in memory.
    ///
    /// # Errors
    /// A tensor cannot be read or encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, QuantizeError> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes, &mut |_| ControlFlow::Continue(()))?;
        Ok(bytes)
    }

    /// Writes the whole file, in one part, to `out`.
    ///
    /// # Errors
    /// A tensor cannot be read or encoded, or `out` does not take it.
    pub fn write_to(&self, out: &mut dyn Write, report: &mut Report<'_>) -> Result<(), QuantizeError> {
        self.check()?;
        let progress = Mutex::new((0, report));
        self.writer(&progress)?.write_to(out).map_err(ours)?;
        Ok(())
    }

    /// A writer that makes each tensor when its turn comes.
    fn writer<'w>(&'w self, progress: &'w Mutex<(u64, &mut Report<'_>)>) -> Result<GgufWriter<'w>, QuantizeError> {
        let mut writer = GgufWriter::new(self.metadata.clone());
        for tensor in &self.tensors {
            let importance = self.importance_of(&tensor.source)?;
            let source = TensorSource::stream(move |out| {
                self.write_tensor(tensor, importance.as_deref(), progress, out).map_err(io::Error::other)
            });
            let TensorInfo { name, shape, tensor_type, .. } = &tensor.target;
            writer.add(name.as_str(), shape.as_slice(), *tensor_type, source)?;
        }
        Ok(writer)
    }

    /// Finds what cannot be written, before anything is.
    ///
    /// # Errors
    /// A type cannot be written, or not from what the input has.
    pub fn check(&self) -> Result<(), QuantizeError> {
        if !self.weights.has_data() {
            return Err(QuantizeError::NoData);
        }
        for PlannedTensor { source, target, lacks_importance, .. } in &self.tensors {
            let (found, wanted) = (source.tensor_type, target.tensor_type);
            if found == wanted {
                continue;
            }
            let name = target.name.clone();
            if *lacks_importance {
                let given = if self.options.importance.is_some() { "; the one given does not have it" } else { "" };
                return Err(QuantizeError::NeedsImportance { name, tensor_type: wanted, given });
            }
            if found.block_len() > 1 && !self.options.allow_requantize {
                return Err(QuantizeError::Requantise { name, found, wanted });
            }
            if !format(wanted).can_encode() {
                return Err(QuantizeError::Codec { name, source: QuantError::NoEncoder { tensor_type: wanted } });
            }
            self.importance_of(source)?;
        }
        Ok(())
    }

    /// Tensors in each file.
    fn part_lengths(&self, writer: &GgufWriter<'_>) -> Result<Vec<usize>, QuantizeError> {
        match self.options.parts {
            Parts::One => Ok(vec![self.tensors.len()]),
            Parts::AsInput => {
                let mut lengths = vec![0; self.weights.paths().len()];
                for tensor in &self.tensors {
                    lengths[tensor.source.part()] += 1;
                }
                Ok(lengths)
            }
            Parts::Split { limit, first } => Ok(writer.part_lengths(limit, first)?),
        }
    }

    fn write_tensor(
        &self,
        tensor: &PlannedTensor,
        importance: Option<&[f32]>,
        progress: &Mutex<(u64, &mut Report<'_>)>,
        out: &mut dyn Write,
    ) -> Result<(), QuantizeError> {
        let source = self.weights.rows(&tensor.source)?;
        let rows = Rows::new(tensor, source.as_ref(), importance);
        let total = self.bytes_before();
        let tell = |bytes: u64| {
            let mut guard = progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let (done, report) = &mut *guard;
            *done += bytes;
            match report(Progress { tensor, done: *done, total }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(QuantizeError::Stopped),
            }
        };
        tell(0)?;
        let slab_rows = (SLAB_BYTES / rows.target_bytes.max(1)).max(1);
        let mut slab = Vec::new();
        let mut first = 0;
        while first < rows.count {
            let count = slab_rows.min(rows.count - first);
            let failed = |source: io::Error| QuantizeError::Write(WriteError::Io(source));
            match source.stored() {
                Some(stored) if tensor.source.tensor_type == tensor.target.tensor_type => {
                    rows.check(first, count)?;
                    out.write_all(&stored[first * rows.source_bytes..][..count * rows.source_bytes]).map_err(failed)?;
                }
                _ => {
                    slab.resize(count * rows.target_bytes, 0);
                    self.encode(&rows, first, &mut slab)?;
                    out.write_all(&slab).map_err(failed)?;
                }
            }
            first += count;
            source.release();
            tell((count * rows.source_bytes) as u64)?;
        }
        Ok(())
    }

    /// Encodes the rows from `first` on, with all threads.
    fn encode(&self, rows: &Rows<'_>, first: usize, out: &mut [u8]) -> Result<(), QuantizeError> {
        let piece_rows = (PIECE_ELEMENTS / rows.elements).max(1);
        let threads = match self.options.threads {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        };
        let pieces = out.chunks_mut(piece_rows * rows.target_bytes).enumerate();
        let threads = threads.min(pieces.len());
        let pieces = Mutex::new(pieces);
        let work = || -> Result<(), QuantizeError> {
            let mut values = vec![0.0; piece_rows * rows.elements];
            loop {
                let next = pieces.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                let Some((piece, out)) = next else { return Ok(()) };
                let result = rows.encode(first + piece * piece_rows, &mut values, out);
                if result.is_err() {
                    // Nobody needs the rest.
                    pieces.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).by_ref().for_each(drop);
                    return result;
                }
            }
        };
        if threads < 2 {
            return work();
        }
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut result = work();
            for other in others {
                let theirs = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(theirs);
            }
            result
        })
    }
}

/// The rows of a tensor on their way.
struct Rows<'a> {
    name: &'a str,
    from: TensorType,
    to: TensorType,
    source: &'a dyn TensorRows,
    importance: Option<&'a [f32]>,
    /// Rows of all matrices.
    count: usize,
    /// Rows of one matrix.
    matrix: usize,
    /// Elements of a row.
    elements: usize,
    source_bytes: usize,
    target_bytes: usize,
}

impl<'a> Rows<'a> {
    fn new(tensor: &'a PlannedTensor, rows: &'a dyn TensorRows, importance: Option<&'a [f32]>) -> Rows<'a> {
        let PlannedTensor { source, target, .. } = tensor;
        let (elements, count) = (source.row_elements() as usize, source.rows() as usize);
        Rows {
            name: &target.name,
            from: source.tensor_type,
            to: target.tensor_type,
            source: rows,
            importance,
            count,
            matrix: source.shape.get(1).map_or(1, |&rows| rows as usize),
            elements,
            source_bytes: source.bytes() as usize / count.max(1),
            target_bytes: target.bytes() as usize / count.max(1),
        }
    }

    /// Encodes as many rows as `out` holds, from `first` on; `values` has room for them.
    fn encode(&self, first: usize, values: &mut [f32], out: &mut [u8]) -> Result<(), QuantizeError> {
        let count = out.len() / self.target_bytes;
        let values = &mut values[..count * self.elements];
        let codec = |source| QuantizeError::Codec { name: self.name.to_owned(), source };
        self.source.decode(first, values)?;
        self.check_values(first, values)?;
        let rows = values.chunks(self.elements).zip(out.chunks_mut(self.target_bytes));
        for (row, (values, out)) in (first..).zip(rows) {
            let importance = self.importance.map(|all| &all[row / self.matrix * self.elements..][..self.elements]);
            format(self.to).encode_row_with(values, importance, out).map_err(codec)?;
        }
        Ok(())
    }

    /// Checks rows that are only copied, where they are floats.
    fn check(&self, first: usize, count: usize) -> Result<(), QuantizeError> {
        if !matches!(self.from, TensorType::F32 | TensorType::F16 | TensorType::BF16) {
            return Ok(());
        }
        let rows = (PIECE_ELEMENTS / self.elements).max(1);
        let mut values = vec![0.0; rows * self.elements];
        for piece in (first..first + count).step_by(rows) {
            let values = &mut values[..rows.min(first + count - piece) * self.elements];
            self.source.decode(piece, values)?;
            self.check_values(piece, values)?;
        }
        Ok(())
    }

    fn check_values(&self, first: usize, values: &[f32]) -> Result<(), QuantizeError> {
        // Zero times a finite number is zero; the sum of zeros is.
        let sum: [f32; 16] = values.as_chunks::<16>().0.iter().fold([0.0; 16], |mut sum, values| {
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * 0.0);
            sum
        });
        let rest = values.as_chunks::<16>().1;
        if sum.iter().chain(rest).all(|value| value.is_finite()) {
            return Ok(());
        }
        let Some(element) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        let (name, value) = (self.name.to_owned(), values[element]);
        Err(QuantizeError::NotFinite { name, element: (first * self.elements + element) as u64, value })
    }
}

/// The files that will be there.
fn targets(path: &Path, parts: usize) -> Vec<PathBuf> {
    if parts == 1 {
        return vec![path.to_owned()];
    }
    let prefix = prefix(path);
    (1..=parts as u64).map(|part| split::part_path(&prefix, part, parts as u64)).collect()
}

fn prefix(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "gguf") {
        path.with_extension("")
    } else {
        path.to_owned()
    }
}

/// An error of ours that came back through the writer.
fn ours(error: WriteError) -> QuantizeError {
    let (path, source) = match error {
        WriteError::File { path, source } => (Some(path), source),
        WriteError::Io(source) => (None, source),
        other => return other.into(),
    };
    match source.downcast::<QuantizeError>() {
        Ok(QuantizeError::Write(WriteError::Io(source))) | Err(source) => match path {
            Some(path) => WriteError::File { path, source }.into(),
            None => WriteError::Io(source).into(),
        },
        Ok(error) => error,
    }
}
