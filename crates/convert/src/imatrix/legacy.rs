//! The older format (`.dat`), read and written; all numbers 32-bit little-endian.
//!
//! `entries`, then for each entry `length, name, calls, values, value…`, then, perhaps, `calls, length, dataset`.

use std::io::{self, Write};
use std::path::Path;

use ascua_gguf::AtomicFile;

use super::{Entry, ImatrixError, ImportanceMatrix};

pub(super) fn read(path: &Path) -> Result<ImportanceMatrix, ImatrixError> {
    let bytes = std::fs::read(path).map_err(|source| ImatrixError::Io { path: path.to_owned(), source })?;
    let mut rest = bytes.as_slice();
    // An entry has at least 16 bytes: more of them than that cannot be there.
    let count = number(&mut rest).filter(|&count| count <= bytes.len() / 16);
    let Some(count) = count.filter(|&count| count > 0) else {
        return Err(ImatrixError::Empty { path: path.to_owned() });
    };
    let mut matrix = ImportanceMatrix::default();
    for index in 0..count {
        let (name, entry) = entry(&mut rest).map_err(|problem| ImatrixError::Record {
            path: path.to_owned(),
            number: index + 1,
            count,
            problem,
        })?;
        matrix.entries.insert(name, entry);
    }
    if let Some(calls) = number(&mut rest) {
        matrix.chunk_count = calls as u32;
        let dataset = number(&mut rest).and_then(|length| take(&mut rest, length));
        matrix.datasets.extend(dataset.map(|name| String::from_utf8_lossy(name).into_owned()));
    }
    Ok(matrix)
}

fn entry(rest: &mut &[u8]) -> Result<(String, Entry), String> {
    let length = number(rest).ok_or("the length of its name is missing or negative")?;
    let name = take(rest, length).ok_or_else(|| format!("its name of {length} bytes does not fit in the file"))?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| "its name is not UTF-8")?;
    let calls = number(rest).ok_or_else(|| format!("`{name}`: the number of calls is missing or negative"))?;
    let values = number(rest).ok_or_else(|| format!("`{name}`: the number of values is missing or negative"))?;
    if values == 0 {
        return Err(format!("`{name}` has no values"));
    }
    let data = values.checked_mul(4).and_then(|bytes| take(rest, bytes));
    let data = data.ok_or_else(|| format!("`{name}`: its {values} values do not fit in the file"))?;
    let sums = data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    // Without a count the values are means already.
    Ok((name, Entry { sums, counts: vec![calls.max(1) as u64] }))
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, 4)?;
    usize::try_from(i32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Writes what the format can hold: of each weight the means, times the pieces of text they are of.
pub(super) fn write(matrix: &ImportanceMatrix, path: &Path) -> io::Result<()> {
    let entries: Vec<_> = matrix.entries.iter().filter(|(_, entry)| entry.counts.iter().any(|&n| n > 0)).collect();
    let mut out = AtomicFile::create(path)?;
    out.write_all(&length(entries.len())?)?;
    for (name, entry) in entries {
        let most = entry.counts.iter().copied().max().unwrap_or(0);
        let calls = most.div_ceil(u64::from(matrix.chunk_size.max(1)));
        out.write_all(&length(name.len())?)?;
        out.write_all(name.as_bytes())?;
        out.write_all(&length(calls as usize)?)?;
        out.write_all(&length(entry.sums.len())?)?;
        for mean in entry.means() {
            out.write_all(&(mean * calls as f32).to_le_bytes())?;
        }
    }
    out.write_all(&length(matrix.chunk_count as usize)?)?;
    let dataset = matrix.datasets.last().map_or("", String::as_str);
    out.write_all(&length(dataset.len())?)?;
    out.write_all(dataset.as_bytes())?;
    out.commit()
}

fn length(number: usize) -> io::Result<[u8; 4]> {
    let number = i32::try_from(number).map_err(|_| io::Error::other("the older format holds 32-bit numbers only"))?;
    Ok(number.to_le_bytes())
}
