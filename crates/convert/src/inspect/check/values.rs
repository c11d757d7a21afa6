//! The numbers: whether every weight is one, with the scales it is quantised with, and whether there are any at all.
//!
//! A scale that is NaN or infinite makes every value of its group so, whatever the type: zero times infinity is NaN. Two
//! formats have scales that stand for no number and yet decode as one; they are counted apart.

use std::ops::ControlFlow;

use ascua_gguf::{Gguf, TensorInfo, TensorType};
use ascua_quant::format;

use super::super::parallel::in_parallel;
use super::super::{Report, Stopped};
use super::Finding;

/// Elements looked at in one piece; a multiple of every block length.
const PIECE_ELEMENTS: usize = 1 << 16;
/// Pieces looked at before the caller is told.
const PIECES: usize = 64;

/// What is in a tensor.
#[derive(Default)]
struct Counts {
    nan: u64,
    infinite: u64,
    /// The first element that is no finite number.
    first: Option<u64>,
    /// Blocks with a scale that stands for no number.
    reserved: u64,
    /// Whether any value is not zero.
    alive: bool,
}

impl Counts {
    fn merge(&mut self, other: Counts) {
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.first = self.first.or(other.first);
        self.reserved += other.reserved;
        self.alive |= other.alive;
    }
}

pub(super) fn check(gguf: &Gguf, findings: &mut Vec<Finding>, report: &mut Report<'_>) -> Result<(), Stopped> {
    let (mut done, total) = (0, gguf.tensors().iter().map(|tensor| tensor.bytes()).sum());
    for tensor in gguf.tensors() {
        let counts = count(gguf, tensor, &mut |bytes| report(&tensor.name, done + bytes, total))?;
        done += tensor.bytes();
        let name = &tensor.name;
        if let Some(first) = counts.first {
            let (nan, infinite) = (counts.nan, counts.infinite);
            let of = tensor.elements();
            let message =
                format!("tensor `{name}`: of {of} values {nan} are NaN and {infinite} infinite, first {first}");
            findings.push(Finding::error("not_finite", message));
        }
        if counts.reserved > 0 {
            let (reserved, tensor_type) = (counts.reserved, tensor.tensor_type);
            let message = format!("tensor `{name}`: {reserved} {tensor_type} blocks have a scale that is NaN");
            findings.push(Finding::error("not_finite", message));
        }
        let is_matrix = tensor.shape.iter().filter(|&&size| size > 1).count() > 1;
        if is_matrix && !counts.alive && counts.first.is_none() {
            let message = format!("tensor `{name}` is all zero: a part of the file that was never written?");
            findings.push(Finding::warning("all_zero", message));
        }
    }
    Ok(())
}

fn count(gguf: &Gguf, tensor: &TensorInfo, tell: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<Counts, Stopped> {
    let (data, tensor_type) = (gguf.data(tensor), tensor.tensor_type);
    let piece_bytes = PIECE_ELEMENTS / tensor_type.block_len() * tensor_type.block_bytes();
    let count = data.len().div_ceil(piece_bytes);
    let (mut counts, mut start) = (Counts::default(), 0);
    while start < count {
        let end = (start + PIECES).min(count);
        let pieces = in_parallel(start..end, |piece| {
            let bytes = &data[piece * piece_bytes..((piece + 1) * piece_bytes).min(data.len())];
            count_piece(tensor_type, bytes, (piece * PIECE_ELEMENTS) as u64)
        });
        pieces.into_iter().for_each(|piece| counts.merge(piece));
        start = end;
        data.release();
        if let ControlFlow::Break(()) = tell((start * piece_bytes).min(data.len()) as u64) {
            return Err(Stopped);
        }
    }
    Ok(counts)
}

fn count_piece(tensor_type: TensorType, bytes: &[u8], first_element: u64) -> Counts {
    let codec = format(tensor_type);
    let mut values = vec![0.0f32; bytes.len() / tensor_type.block_bytes() * tensor_type.block_len()];
    // Pieces are whole blocks, so neither can fail.
    let reserved = codec.reserved_scales(bytes).unwrap_or(0) as u64;
    let mut counts = Counts { reserved, ..Counts::default() };
    if codec.decode_row(bytes, &mut values).is_err() {
        return counts;
    }
    counts.alive = values.iter().any(|&value| value != 0.0);
    // Most pieces end here.
    if values.iter().all(|value| value.is_finite()) {
        return counts;
    }
    for (element, value) in (first_element..).zip(&values).filter(|(_, value)| !value.is_finite()) {
        counts.first = counts.first.or(Some(element));
        if value.is_nan() {
            counts.nan += 1;
        } else {
            counts.infinite += 1;
        }
    }
    counts
}
