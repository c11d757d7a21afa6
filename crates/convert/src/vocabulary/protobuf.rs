//! The wire format of protocol buffers: just enough to walk over a message.

use super::Problem;

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Number(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Walks over the fields of a message.
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message stands in the file, for errors.
    base: usize,
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { bytes, at: 0, base: 0 }
    }

    /// The message in a field of this one that was just read.
    pub(super) fn inner(&self, bytes: &'a [u8]) -> Message<'a> {
        Message { bytes, at: 0, base: self.base + self.at - bytes.len() }
    }

    /// Number and value of the next field.
    pub(super) fn field(&mut self) -> Result<Option<(u64, Wire<'a>)>, Problem> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Wire::Fixed64
            }
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(self.take(4)?.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte))),
            _ => return Err(self.fault("unknown kind of field")),
        };
        if key >> 3 == 0 {
            return Err(self.fault("field number 0"));
        }
        Ok(Some((key >> 3, value)))
    }

    pub(super) fn fault(&self, what: &'static str) -> Problem {
        Problem::Protobuf { at: self.base + self.at, what }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Problem> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| self.fault("a field that is longer than what is left"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Problem> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.fault("a number of more than 64 bits"))
    }
}
