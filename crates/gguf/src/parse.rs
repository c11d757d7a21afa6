//! Bytes → header: magic, version, metadata, tensor descriptions.
//!
//! The input is hostile. Every count is compared with the bytes left in the file before anything is allocated for it,
//! arithmetic is checked, nesting is limited. Layout: the GGUF specification, versions 2 and 3 (which differ only in
//! that 3 allows big-endian files).

use std::collections::HashSet;

use crate::cursor::{Cursor, Reading};
use crate::error::shown;
use crate::limits::{
    DEFAULT_ALIGNMENT, MAX_ALIGNMENT, MAX_DIMENSIONS, MAX_KEY_BYTES, MAX_KEYS, MAX_TENSOR_NAME_BYTES, MAX_TENSORS,
    MIN_ALIGNMENT,
};
use crate::parse_value::value;
use crate::place::{self, Extent};
use crate::{Malformed, Metadata, TensorInfo, TensorType};

/// Key that says where tensors may start.
pub(crate) const ALIGNMENT_KEY: &str = "general.alignment";

/// Fewest bytes of a key with its value: length 8, one byte of key, type 4, one byte of value.
const LEAST_KEY_VALUE_BYTES: u64 = 14;
/// Fewest bytes of a tensor's description: length 8, one byte of name, dimensions 4, type 4, offset 8.
const LEAST_TENSOR_BYTES: u64 = 25;

/// Everything before the tensor data.
#[derive(Debug)]
pub(crate) struct Header {
    pub version: u32,
    pub metadata: Metadata,
    pub tensors: Vec<TensorInfo>,
}

/// Reads the header and checks where it puts the tensors.
pub(crate) fn parse(bytes: &[u8], extent: Extent) -> Result<Header, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let version = version(&mut cursor)?;
    let tensor_count = cursor.u64(Reading::Header("tensor count"))?;
    let key_count = cursor.u64(Reading::Header("metadata count"))?;
    let limit = MAX_TENSORS.min(cursor.remaining() / LEAST_TENSOR_BYTES);
    if tensor_count > limit {
        return Err(Malformed::TensorCount { found: tensor_count, limit });
    }
    let limit = MAX_KEYS.min(cursor.remaining() / LEAST_KEY_VALUE_BYTES);
    if key_count > limit {
        return Err(Malformed::KeyCount { found: key_count, limit });
    }
    let metadata = metadata(&mut cursor, key_count)?;
    let alignment = alignment(&metadata)?;
    let (mut tensors, offsets) = tensors(&mut cursor, tensor_count)?;
    place::place(&mut tensors, &offsets, place::Bounds { header: cursor.position(), alignment, extent })?;
    Ok(Header { version, metadata, tensors })
}

/// Checks magic, byte order and version.
fn version(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
    if cursor.remaining() == 0 {
        return Err(Malformed::Empty);
    }
    let magic: [u8; 4] = cursor.array(Reading::Header("magic"))?;
    match &magic {
        b"GGUF" => {}
        [0, 0, 0, 0] => return Err(Malformed::Zeros),
        _ => return Err(Malformed::Magic { found: magic }),
    }
    let version = cursor.u32(Reading::Header("version"))?;
    match version {
        2 | 3 => Ok(version),
        1 => Err(Malformed::VersionOne),
        // A small number in the other byte order.
        found if found != 0 && found & 0xffff == 0 => Err(Malformed::BigEndian { version: found.swap_bytes() }),
        found => Err(Malformed::Version { found }),
    }
}

fn metadata(cursor: &mut Cursor<'_>, count: u64) -> Result<Metadata, Malformed> {
    let mut metadata = Metadata::new();
    for index in 0..count {
        let bytes = cursor.u64(Reading::Key(index))?;
        if bytes == 0 {
            return Err(Malformed::EmptyKey { index });
        }
        if bytes > MAX_KEY_BYTES {
            return Err(Malformed::KeyLength { index, found: bytes });
        }
        let key = std::str::from_utf8(cursor.take(bytes, Reading::Key(index))?)
            .map_err(|error| Malformed::KeyNotUtf8 { index, at: error.valid_up_to() })?;
        if metadata.contains(key) {
            return Err(Malformed::DuplicateKey { key: shown(key) });
        }
        let value = value(cursor, key)?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

/// The alignment the metadata asks for.
pub(crate) fn alignment(metadata: &Metadata) -> Result<u64, Malformed> {
    let alignment = metadata.unsigned(ALIGNMENT_KEY)?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || !(MIN_ALIGNMENT..=MAX_ALIGNMENT).contains(&alignment) {
        return Err(Malformed::Alignment { found: alignment });
    }
    Ok(alignment)
}

/// The tensors and the offset of each in the data section.
fn tensors(cursor: &mut Cursor<'_>, count: u64) -> Result<(Vec<TensorInfo>, Vec<u64>), Malformed> {
    // The caller has compared the count with the bytes left.
    let mut tensors = Vec::with_capacity(count as usize);
    let mut offsets = Vec::with_capacity(count as usize);
    let mut names = HashSet::new();
    for index in 0..count {
        let bytes = cursor.u64(Reading::TensorName(index))?;
        if bytes == 0 {
            return Err(Malformed::EmptyTensorName { index });
        }
        if bytes > MAX_TENSOR_NAME_BYTES {
            return Err(Malformed::TensorNameLength { index, found: bytes });
        }
        let name = std::str::from_utf8(cursor.take(bytes, Reading::TensorName(index))?)
            .map_err(|error| Malformed::TensorNameNotUtf8 { index, at: error.valid_up_to() })?;
        if !names.insert(name) {
            return Err(Malformed::DuplicateTensor { name: shown(name) });
        }
        let reading = Reading::Tensor(name);
        let dimensions = cursor.u32(reading)?;
        if dimensions > MAX_DIMENSIONS {
            return Err(Malformed::Dimensions { name: shown(name), found: dimensions.into() });
        }
        let shape = cursor.numbers(dimensions.into(), reading, u64::from_le_bytes)?;
        let tensor_type = tensor_type(cursor.u32(reading)?, name)?;
        let offset = cursor.u64(reading)?;
        tensors.push(TensorInfo::new(name, shape, tensor_type)?);
        offsets.push(offset);
    }
    Ok((tensors, offsets))
}

fn tensor_type(found: u32, name: &str) -> Result<TensorType, Malformed> {
    TensorType::from_id(found).ok_or_else(|| match TensorType::withdrawn(found) {
        Some(was) => Malformed::WithdrawnTensorType { name: shown(name), found, was },
        None => Malformed::TensorType { name: shown(name), found },
    })
}
