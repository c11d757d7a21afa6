//! A file read whole, up to a limit: what a file claims of its size is not believed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A file that was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It cannot be.
    Io(io::Error),
    /// It has more bytes than are read.
    TooLong {
        /// Its bytes, or how many were seen.
        found: u64,
    },
}

/// The bytes of a file of at most `limit`; `None` where there is no such file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Unread> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Unread::Io)?,
    };
    let mut bytes = Vec::new();
    (&file).take(limit + 1).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if bytes.len() as u64 > limit {
        let found = file.metadata().map_or(0, |metadata| metadata.len()).max(bytes.len() as u64);
        return Err(Unread::TooLong { found });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_last_length_that_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(matches!(read(&path, 9), Ok(None)));
        std::fs::write(&path, [7; 10]).unwrap();
        assert!(matches!(read(&path, 9), Err(Unread::TooLong { found: 10 })));
        assert_eq!(read(&path, 10).unwrap(), Some(vec![7; 10]));
        assert!(matches!(read(directory.path(), 9), Err(Unread::Io(_))), "a directory");
    }
}
