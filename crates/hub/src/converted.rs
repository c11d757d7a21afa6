//! Models made of other files of this machine, kept in the cache: a checkpoint's directory, converted once.
//!
//! Invariant: what is given out was made of the files as they are now. The names, sizes and times of the files, and the
//! program that converts, make a fingerprint; the manifest has it, and where it differs the model is made anew in place of
//! the old one.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::cache::{self, Manifest, ManifestFile, Slot};
use crate::download::hexadecimal;
use crate::hub::Hub;
use crate::progress::{Progress, Watch};
use crate::{HubError, disk};

/// What a model is made of, and how.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Directory of the files.
    pub directory: &'a Path,
    /// What it is made into, such as `Q4_K_M`: each has its place in the cache.
    pub file_type: &'a str,
    /// What makes it: another version makes it anew.
    pub converter: &'a str,
}

/// Why a model was not made.
#[derive(Debug)]
pub enum MakeError {
    /// The caller asked to stop.
    Cancelled,
    /// Anything else.
    Failed(Box<dyn Error + Send + Sync>),
}

/// Makes the model: writes its one file.
pub type Make<'m> = dyn FnMut(&mut dyn Write) -> Result<(), MakeError> + 'm;

impl Hub {
    /// The path of the model made of `original`: from the cache, or made now, under a lock. The lock of another process is
    /// waited for, told to `progress`, until `cancel` is raised.
    ///
    /// # Errors
    /// There is no cache, its files cannot be written, or `make` fails.
    pub fn converted(
        &self,
        original: Original<'_>,
        make: &mut Make<'_>,
        progress: &mut dyn FnMut(Progress<'_>),
        cancel: &AtomicBool,
    ) -> Result<PathBuf, HubError> {
        let Original { directory, file_type, .. } = original;
        let directory = directory.canonicalize().map_err(|e| HubError::io("open", directory, e))?;
        let fingerprint = fingerprint(&directory, original.converter)?;
        let slot = slot(self, &format!("{}:{file_type}", directory.display()))?;
        let current = |slot: &Slot| slot.complete().filter(|_| slot.version().as_deref() == Some(&fingerprint));
        if let Some(model) = current(&slot) {
            return Ok(model.path);
        }
        let mut watch = Watch::new(progress, cancel, &slot.text);
        let _lock = slot.lock(&mut watch)?;
        if let Some(model) = current(&slot) {
            return Ok(model.path);
        }
        let stem = directory.file_name().unwrap_or_default().to_string_lossy();
        let name = cache::plain_name(&format!("{stem}-{file_type}.gguf"));
        let path = slot.directory().join(&name);
        // What is there was made of other files, or by another program.
        slot.forget()?;
        disk::delete(&path)?;
        let draft = disk::beside(&path, ".new");
        let (size, sha256) = write_draft(&draft, &directory, make).inspect_err(|_| drop(disk::delete(&draft)))?;
        disk::publish(&draft, &path)?;
        let file = ManifestFile { name, size, sha256 };
        slot.write(&Manifest {
            source: slot.text.clone(),
            files: vec![file],
            fetched: cache::now(),
            licence: None,
            version: Some(fingerprint),
        })?;
        Ok(path)
    }
}

/// Makes the model at `draft`; gives its length and its hash.
fn write_draft(draft: &Path, directory: &Path, make: &mut Make<'_>) -> Result<(u64, String), HubError> {
    let file = File::create(draft).map_err(|e| disk::write_error(draft, 0, e))?;
    let mut out = Hashed { out: BufWriter::with_capacity(1 << 18, file), hash: Sha256::new(), bytes: 0, failed: None };
    let made = make(&mut out).and_then(|()| out.flush().map_err(|error| MakeError::Failed(error.into())));
    if let Some(error) = out.failed {
        return Err(disk::write_error(draft, out.bytes, error));
    }
    made.map_err(|error| match error {
        MakeError::Cancelled => HubError::Cancelled,
        MakeError::Failed(source) => HubError::Make { directory: directory.to_owned(), source },
    })?;
    Ok((out.bytes, hexadecimal(&out.hash.finalize())))
}

/// Counts and hashes what passes, and keeps the error that ended it: whoever writes may dress it up.
struct Hashed<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
    failed: Option<io::Error>,
}

impl<W> Hashed<W> {
    fn kept<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(copy);
            }
        })
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        let written = self.kept(result)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.kept(result)
    }
}

/// Where the cache keeps what was made; `text` is the directory and the type.
pub(crate) fn slot(hub: &Hub, text: &str) -> Result<Slot, HubError> {
    let root = hub.options().cache.as_deref().ok_or(HubError::NoCacheDirectory)?;
    Ok(Slot::new(root, "converted", text, text.to_owned()))
}

/// Names, sizes and times of the files in `directory`, and the converter, in one hash.
fn fingerprint(directory: &Path, converter: &str) -> Result<String, HubError> {
    let failed = |e| HubError::io("read", directory, e);
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Through links: caches of checkpoints are full of them.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if metadata.is_file() {
            let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let nanoseconds = time.map_or(0, |time| time.as_nanos());
            lines.push(format!("{}\0{}\0{nanoseconds}\n", entry.file_name().to_string_lossy(), metadata.len()));
        }
    }
    lines.sort();
    let mut hasher = Sha256::new();
    hasher.update(converter);
    lines.iter().for_each(|line| hasher.update(line));
    Ok(hexadecimal(&hasher.finalize()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_whatever_the_maker_makes_of_it() {
        let mut make = |out: &mut dyn Write| {
            let written = out.write_all(&[0; 1 << 20]);
            written.map_err(|_| MakeError::Failed("something went wrong".into()))
        };
        let found = write_draft(Path::new("/dev/full"), Path::new("model"), &mut make);
        assert!(matches!(found, Err(HubError::DiskFull { .. })), "{found:?}");
        // Also where only the last bytes, which wait in a buffer, find no room.
        let mut make = |out: &mut dyn Write| out.write_all(b"model").map_err(|error| MakeError::Failed(error.into()));
        let found = write_draft(Path::new("/dev/full"), Path::new("model"), &mut make);
        assert!(matches!(found, Err(HubError::DiskFull { .. })), "{found:?}");
    }
}
