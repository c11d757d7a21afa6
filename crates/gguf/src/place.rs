//! Offsets → places: every tensor aligned, inside the file, and on bytes of its own.
//!
//! Gaps between tensors and bytes after the last are allowed; nothing ever looks at them.

use crate::error::shown;
use crate::tensor::Place;
use crate::{Malformed, TensorInfo};

/// How much of a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The header and, in a file of so many bytes, the tensor data.
    Whole(u64),
    /// The header; the tensor data may be missing.
    Header,
}

/// What tensors have to fit between.
pub(crate) struct Bounds {
    /// Bytes of the header, without padding.
    pub header: u64,
    /// A power of two.
    pub alignment: u64,
    pub extent: Extent,
}

/// Gives every tensor its place, from its offset in the data section.
pub(crate) fn place(tensors: &mut [TensorInfo], offsets: &[u64], bounds: Bounds) -> Result<(), Malformed> {
    let Bounds { header, alignment, extent } = bounds;
    for (tensor, &offset) in tensors.iter_mut().zip(offsets) {
        if offset % alignment != 0 {
            return Err(Malformed::Misaligned { name: shown(&tensor.name), offset, alignment });
        }
        let bytes = tensor.bytes();
        let start = header.checked_next_multiple_of(alignment).and_then(|data| data.checked_add(offset));
        let Some((start, end)) = start.and_then(|start| Some((start, start.checked_add(bytes)?))) else {
            return Err(Malformed::TensorOffset { name: shown(&tensor.name), offset, bytes });
        };
        if let Extent::Whole(file) = extent
            && end > file
        {
            return Err(Malformed::TensorPastEnd { name: shown(&tensor.name), end, file });
        }
        tensor.place = Place { part: 0, start };
    }
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|tensor| tensor.start());
    for pair in order.windows(2) {
        let [before, after] = pair else { continue };
        // Cannot overflow: the sum was checked above.
        let end = before.start() + before.bytes();
        if after.start() < end {
            let (name, other) = (shown(&after.name), shown(&before.name));
            return Err(Malformed::Overlap { name, start: after.start(), other, end });
        }
    }
    Ok(())
}
