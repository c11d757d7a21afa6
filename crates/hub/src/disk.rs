//! Writing files so that they are whole or absent: free space, full disks, atomic renames.
//!
//! Invariant: after [`publish`] the file is on the disk under its final name, with all its bytes.

use crate::HubError;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes free for an unprivileged user where `path` (or its closest existing parent) lies.
pub(crate) fn free_space(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let existing = path.ancestors().find(|p| p.exists())?;
        let stat = rustix::fs::statvfs(existing).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Refuses before the first byte what will not fit.
pub(crate) fn require_space(path: &Path, needed: u64) -> Result<(), HubError> {
    match free_space(path) {
        Some(free) if free < needed => Err(HubError::DiskFull { path: path.to_owned(), needed, free: Some(free) }),
        _ => Ok(()),
    }
}

/// Names a failed write: a full disk (or quota) with its numbers, anything else as it is.
pub(crate) fn write_error(path: &Path, needed: u64, error: io::Error) -> HubError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            HubError::DiskFull { path: path.to_owned(), needed, free: free_space(path) }
        }
        _ => HubError::io("write", path, error),
    }
}

/// `name` + `suffix`, in the same directory.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes `part` durable and gives it its final name.
pub(crate) fn publish(part: &Path, destination: &Path) -> Result<(), HubError> {
    File::open(part).and_then(|file| sync(&file)).map_err(|e| write_error(part, 0, e))?;
    fs::rename(part, destination).map_err(|e| HubError::io("rename to", destination, e))?;
    sync_directory(destination);
    Ok(())
}

/// Writes a small file in one go: a reader sees the old content or the new, never half.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), HubError> {
    let draft = beside(path, ".new");
    fs::write(&draft, content).map_err(|e| write_error(&draft, content.len() as u64, e))?;
    publish(&draft, path)
}

/// Deletes a file that may not be there.
pub(crate) fn delete(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(HubError::io("delete", path, e)),
        _ => Ok(()),
    }
}

fn sync(file: &File) -> io::Result<()> {
    // A read-only handle cannot be flushed on Windows; closing the written one has done it there.
    if cfg!(unix) { file.sync_all() } else { Ok(()) }
}

/// A rename is durable once its directory is; file systems without that notion refuse, which is no loss.
fn sync_directory(file: &Path) {
    if cfg!(unix)
        && let Some(directory) = file.parent()
        && let Ok(handle) = File::open(directory)
    {
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_numbers() {
        let error = write_error(Path::new("/tmp/model.gguf.part"), 1000, io::ErrorKind::StorageFull.into());
        let text = error.to_string();
        assert!(text.contains("/tmp/model.gguf.part") && text.contains("1000 bytes are needed"), "{text}");
        assert!(matches!(error, HubError::DiskFull { .. }));
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        if free_space(Path::new("/")).is_some() {
            let error = require_space(Path::new("/no/such/directory/file"), u64::MAX).unwrap_err();
            assert!(matches!(error, HubError::DiskFull { needed: u64::MAX, free: Some(_), .. }), "{error}");
        }
    }

    #[test]
    fn small_files_are_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        delete(&path).unwrap();
        delete(&path).unwrap();
    }
}
