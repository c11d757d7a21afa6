//! What sets two model files apart: keys, tensors, shapes, types, values.
//!
//! Values are compared after decoding, so that two types of the same weights can be compared too.

use std::ops::{ControlFlow, Range};

use ascua_gguf::{Gguf, TensorInfo, TensorType};
use ascua_quant::format;

use super::parallel::in_parallel;
use super::{Report, Stopped, trimmed};

/// What sets two files apart.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// Keys, in the order of the first file, then of the second.
    pub keys: Vec<KeyDifference>,
    /// Tensors, in the same order.
    pub tensors: Vec<TensorDifference>,
    /// Tensors that are the same, type and bytes.
    pub equal_tensors: usize,
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In the first file only.
    First,
    /// In the second file only.
    Second,
    /// In both.
    Both,
}

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDifference {
    /// The key.
    pub key: String,
    /// The files that have it.
    pub presence: Presence,
}

/// A tensor that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDifference {
    /// Its name.
    pub name: String,
    /// How.
    pub kind: TensorDifferenceKind,
}

/// How a tensor differs.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorDifferenceKind {
    /// One file does not have it.
    Missing(Presence),
    /// Its shape, in the first and in the second file.
    Shape(Vec<u64>, Vec<u64>),
    /// Its type or its bytes.
    Data {
        /// Type in the first and in the second file.
        types: (TensorType, TensorType),
        /// By how much.
        error: ValueError,
    },
}

/// By how much the values of the second file are off those of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueError {
    /// Values that differ.
    pub differing: u64,
    /// Of these, such as are a number in one of the files only; not counted below.
    pub not_finite: u64,
    /// Largest difference.
    pub largest: f64,
    squares: f64,
    size: f64,
}

impl ValueError {
    /// Size of the difference relative to the size of the first file's tensor (Euclidean norms); infinite where that is
    /// zero and the other is not.
    pub fn relative(&self) -> f64 {
        if self.squares == 0.0 { 0.0 } else { (self.squares / self.size).sqrt() }
    }

    fn add(&mut self, a: f32, b: f32) {
        if a.to_bits() == b.to_bits() {
            self.size += if a.is_finite() { f64::from(a) * f64::from(a) } else { 0.0 };
            return;
        }
        if !a.is_finite() || !b.is_finite() {
            self.differing += 1;
            self.not_finite += 1;
            return;
        }
        let (a, b) = (f64::from(a), f64::from(b));
        let difference = (a - b).abs();
        self.differing += u64::from(difference != 0.0);
        self.largest = self.largest.max(difference);
        self.squares += difference * difference;
        self.size += a * a;
    }

    fn merge(&mut self, other: &ValueError) {
        self.differing += other.differing;
        self.not_finite += other.not_finite;
        self.largest = self.largest.max(other.largest);
        self.squares += other.squares;
        self.size += other.size;
    }
}

/// Elements compared at a time; a multiple of every block length.
const PIECE_ELEMENTS: usize = 1 << 16;
/// Pieces compared before the caller is told.
const PIECES: usize = 64;

/// Compares two files.
///
/// # Errors
/// `report` asked to stop.
pub fn diff(first: &Gguf, second: &Gguf, report: &mut Report<'_>) -> Result<Differences, Stopped> {
    let mut differences = Differences { keys: keys(first, second), ..Differences::default() };
    let (mut done, total) = (0, first.tensors().iter().map(|tensor| tensor.bytes()).sum());
    for a in first.tensors() {
        let kind = match second.tensor(&a.name) {
            None => Some(TensorDifferenceKind::Missing(Presence::First)),
            Some(b) if trimmed(&a.shape) != trimmed(&b.shape) => {
                Some(TensorDifferenceKind::Shape(a.shape.clone(), b.shape.clone()))
            }
            Some(b) => {
                let mut tell = |bytes: u64| report(&a.name, done + bytes, total);
                data((first, a), (second, b), &mut tell)?
            }
        };
        done += a.bytes();
        if let ControlFlow::Break(()) = report(&a.name, done, total) {
            return Err(Stopped);
        }
        match kind {
            Some(kind) => differences.tensors.push(TensorDifference { name: a.name.clone(), kind }),
            None => differences.equal_tensors += 1,
        }
    }
    for b in second.tensors().iter().filter(|b| first.tensor(&b.name).is_none()) {
        let kind = TensorDifferenceKind::Missing(Presence::Second);
        differences.tensors.push(TensorDifference { name: b.name.clone(), kind });
    }
    Ok(differences)
}

fn keys(first: &Gguf, second: &Gguf) -> Vec<KeyDifference> {
    let (first, second) = (first.metadata(), second.metadata());
    let of_first = first.iter().filter_map(|(key, value)| match second.get(key) {
        None => Some((key, Presence::First)),
        Some(other) if other != value => Some((key, Presence::Both)),
        Some(_) => None,
    });
    let of_second = second.iter().filter(|(key, _)| !first.contains(key)).map(|(key, _)| (key, Presence::Second));
    of_first.chain(of_second).map(|(key, presence)| KeyDifference { key: key.to_owned(), presence }).collect()
}

/// How the data of a tensor differs.
fn data(
    (first, a): (&Gguf, &TensorInfo),
    (second, b): (&Gguf, &TensorInfo),
    tell: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<TensorDifferenceKind>, Stopped> {
    let types = (a.tensor_type, b.tensor_type);
    let (a_data, b_data) = (first.data(a), second.data(b));
    let elements = a.elements() as usize;
    let count = elements.div_ceil(PIECE_ELEMENTS);
    let (mut error, mut same_bytes) = (ValueError::default(), types.0 == types.1);
    let mut start = 0;
    while start < count {
        let end = (start + PIECES).min(count);
        let compared = in_parallel(start..end, |piece| {
            let range = piece * PIECE_ELEMENTS..((piece + 1) * PIECE_ELEMENTS).min(elements);
            let (a, b) = (bytes(types.0, &a_data, &range), bytes(types.1, &b_data, &range));
            (types.0 == types.1 && a == b, compare(types, (a, b), range.len()))
        });
        for (same, piece) in compared {
            same_bytes &= same;
            error.merge(&piece);
        }
        start = end;
        a_data.release();
        b_data.release();
        if let ControlFlow::Break(()) = tell((a.bytes() as f64 * start as f64 / count as f64) as u64) {
            return Err(Stopped);
        }
    }
    Ok((!same_bytes).then_some(TensorDifferenceKind::Data { types, error }))
}

/// The bytes of some elements, which begin at a block.
fn bytes<'a>(tensor_type: TensorType, data: &'a [u8], elements: &Range<usize>) -> &'a [u8] {
    let at = |element: usize| element / tensor_type.block_len() * tensor_type.block_bytes();
    &data[at(elements.start).min(data.len())..at(elements.end).min(data.len())]
}

fn compare(types: (TensorType, TensorType), (a, b): (&[u8], &[u8]), elements: usize) -> ValueError {
    let mut error = ValueError::default();
    let decode = |tensor_type, bytes: &[u8]| {
        let mut values = vec![0.0; elements];
        format(tensor_type).decode_row(bytes, &mut values).map(|()| values).ok()
    };
    // Both are there: files are opened with their data, and the shape is the same.
    let (Some(a), Some(b)) = (decode(types.0, a), decode(types.1, b)) else { return error };
    a.iter().zip(&b).for_each(|(&a, &b)| error.add(a, b));
    error
}
