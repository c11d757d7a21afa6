//! The bytes of a file: mapped from disk, or held in memory.
//!
//! The one place of this crate with `unsafe`, for the memory mapping. Shared by reference count, so that tensors
//! outlive the [`Gguf`](crate::Gguf) they came from.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::GgufError;

/// Shared read-only bytes.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Mapped(Arc<Mmap>),
    Owned(Arc<[u8]>),
}

impl Storage {
    /// Maps the file at `path`.
    pub fn map(path: &Path) -> Result<Storage, GgufError> {
        let failed = |source: io::Error| GgufError::Io { path: path.to_owned(), source };
        // Asked before opening: to open a pipe would wait for its writer.
        let attributes = std::fs::metadata(path).map_err(failed)?;
        if attributes.is_dir() {
            return Err(GgufError::Directory { path: path.to_owned() });
        }
        if !attributes.is_file() {
            return Err(GgufError::NotRegular { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes == 0 {
            // An empty range cannot be mapped.
            return Ok(Storage::from(Vec::new()));
        }
        if isize::try_from(bytes).is_err() {
            return Err(GgufError::TooLarge { path: path.to_owned(), bytes });
        }
        // SAFETY: the mapping is read-only and private to us. If another process shortens or rewrites the file while
        // it is mapped, bytes change or the access faults, as with every program that maps models. Bounds are safe
        // from that: each is copied out of the mapping before it is checked, and the copy is what is used.
        let mapping = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Storage::Mapped(Arc::new(mapping)))
    }

    /// Tells the operating system that all of it will be read soon.
    pub fn prefetch(&self) {
        #[cfg(unix)]
        if let Storage::Mapped(mapping) = self {
            // Only advice: where it is refused, pages come in when they are touched.
            let _ = mapping.advise(memmap2::Advice::WillNeed);
        }
    }

    /// Tells the operating system that `start..end` is not needed for now: its pages leave memory, and come back from the
    /// file when they are touched.
    pub fn release(&self, start: usize, end: usize) {
        #[cfg(unix)]
        if let Storage::Mapped(mapping) = self {
            // SAFETY: the mapping is of a file and never written to, so what its pages hold can always be read again.
            let _ = unsafe { mapping.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
        }
        #[cfg(not(unix))]
        let _ = (start, end);
    }
}

impl Deref for Storage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Storage::Mapped(mapping) => mapping,
            Storage::Owned(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Storage {
    fn from(bytes: Vec<u8>) -> Storage {
        Storage::Owned(bytes.into())
    }
}

impl From<Arc<[u8]>> for Storage {
    fn from(bytes: Arc<[u8]>) -> Storage {
        Storage::Owned(bytes)
    }
}
