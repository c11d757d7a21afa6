//! A file that appears whole or not at all: written beside its target, then renamed onto it.
//!
//! Invariant: until [`AtomicFile::commit`] nothing is at the target but what was there before; dropped earlier, the
//! temporary file is removed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file being written that takes its name when it is complete.
#[derive(Debug)]
pub struct AtomicFile {
    /// `None` once closed.
    file: Option<BufWriter<File>>,
    /// `None` once renamed, and for a device, which is written to directly.
    temporary: Option<PathBuf>,
    target: PathBuf,
}

/// Room for the header's small pieces; tensors go past it in pieces of their own.
const BUFFER_BYTES: usize = 1 << 18;
/// Temporary names tried, so that an abandoned file does not stand in the way.
const NAMES_TRIED: u32 = 100;

impl AtomicFile {
    /// Starts a file that will be at `target`, in the same directory.
    pub fn create(target: impl AsRef<Path>) -> io::Result<AtomicFile> {
        let target = target.as_ref().to_owned();
        if target.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the path does not name a file"));
        }
        if target.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        // A device or a pipe cannot be replaced, only written to.
        if std::fs::metadata(&target).is_ok_and(|attributes| !attributes.is_file()) {
            let file = Some(BufWriter::with_capacity(BUFFER_BYTES, OpenOptions::new().write(true).open(&target)?));
            return Ok(AtomicFile { file, temporary: None, target });
        }
        let mut attempt = 0;
        loop {
            let temporary = target.with_file_name(format!(".ascua-{}-{attempt}.tmp", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
                    return Ok(AtomicFile { file, temporary: Some(temporary), target });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < NAMES_TRIED => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the file will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Brings what was written to the disk and closes the file, without giving it its name yet.
    pub fn close(&mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        // What is not renamed is no file, and has no disk to be brought to.
        if self.temporary.is_some() { file.sync_all() } else { Ok(()) }
    }

    /// Closes the file and gives it its name, in place of what had it.
    pub fn commit(mut self) -> io::Result<()> {
        self.close()?;
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.target)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::Error::other("the file was closed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Without writing what is still buffered: the file goes away.
            let _ = file.into_parts();
        }
        if let Some(temporary) = self.temporary.take() {
            // Nobody to tell; at worst a file with a telling name stays behind.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::FileTypeExt as _;

    use super::*;

    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        let mut file = AtomicFile::create("/dev/null").unwrap();
        file.write_all(b"gone").unwrap();
        file.commit().unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
