//! Looks into model files: their hashes, what sets two of them apart, whether one is sound. Changes nothing.

mod check;
mod diff;
mod hash;
mod parallel;

pub use check::{CheckError, Finding, Severity, check};
pub use diff::{Differences, KeyDifference, Presence, TensorDifference, TensorDifferenceKind, ValueError, diff};
pub use hash::{Digest, FileHashes, HashKind, TensorHashes, hash};

/// The caller asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// How far the reading is: the tensor at work, bytes done, bytes in all. May ask to stop.
pub type Report<'r> = dyn FnMut(&str, u64, u64) -> std::ops::ControlFlow<()> + 'r;

/// Without the dimensions of one at the end, which not every tool writes.
fn trimmed(shape: &[u64]) -> &[u64] {
    let kept = shape.iter().rposition(|&size| size != 1).map_or(0, |last| last + 1);
    &shape[..kept]
}
