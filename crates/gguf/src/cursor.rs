//! A position in the bytes of a file that never goes past their end.
//!
//! Every number the parser sees comes through here. What cannot be read is an error that says what it was for, where
//! it would have been and how long the file is.

use std::fmt;

use crate::Malformed;
use crate::error::shown;

/// What is being read, for the error.
#[derive(Clone, Copy)]
pub(crate) enum Reading<'a> {
    Header(&'static str),
    Key(u64),
    Value(&'a str),
    TensorName(u64),
    Tensor(&'a str),
}

impl fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reading::Header(field) => write!(f, "the header's {field}"),
            Reading::Key(index) => write!(f, "metadata key {index}"),
            Reading::Value(key) => write!(f, "the value of metadata key `{}`", shown(key)),
            Reading::TensorName(index) => write!(f, "the name of tensor {index}"),
            Reading::Tensor(name) => write!(f, "the description of tensor `{}`", shown(name)),
        }
    }
}

/// Reads little-endian values from the front of a file's bytes.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at as u64
    }

    /// Bytes that can still be read.
    pub fn remaining(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: u64, reading: Reading<'_>) -> Result<&'a [u8], Malformed> {
        let truncated = || Malformed::Truncated {
            what: reading.to_string(),
            offset: self.at as u64,
            needed: count,
            file: self.bytes.len() as u64,
        };
        let count = usize::try_from(count).map_err(|_| truncated())?;
        let (taken, _) = self.bytes[self.at..].split_at_checked(count).ok_or_else(truncated)?;
        self.at += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, reading: Reading<'_>) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N as u64, reading)?;
        Ok(*bytes.first_chunk().expect("take gives as many bytes as were asked for"))
    }

    pub fn u32(&mut self, reading: Reading<'_>) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(reading)?))
    }

    pub fn u64(&mut self, reading: Reading<'_>) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(reading)?))
    }

    /// The next `count` numbers of `N` bytes each; allocates only once they are known to be there.
    pub fn numbers<T, const N: usize>(
        &mut self,
        count: u64,
        reading: Reading<'_>,
        number: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, Malformed> {
        let bytes = self.take(count.saturating_mul(N as u64), reading)?;
        Ok(bytes.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect())
    }
}
