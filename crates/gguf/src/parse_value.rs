//! Bytes → one metadata value of any of the thirteen types.
//!
//! Allocates for an array only after its count was compared with the bytes left; an array of arrays grows as its
//! elements are read, since a count of nested arrays says little about their size.

use crate::cursor::{Cursor, Reading};
use crate::error::shown;
use crate::limits::{MAX_ARRAY_DEPTH, MAX_ARRAY_ELEMENTS, MAX_NESTED_ARRAYS, MAX_STRING_BYTES};
use crate::{Array, Malformed, StringArray, Value, ValueType};

/// The type and value that follow a key.
pub(crate) fn value(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, Malformed> {
    let reading = Reading::Value(key);
    let id = cursor.u32(reading)?;
    let value_type = ValueType::from_id(id).ok_or_else(|| Malformed::ValueType { key: shown(key), found: id })?;
    Ok(match value_type {
        ValueType::U8 => Value::U8(u8::from_le_bytes(cursor.array(reading)?)),
        ValueType::I8 => Value::I8(i8::from_le_bytes(cursor.array(reading)?)),
        ValueType::U16 => Value::U16(u16::from_le_bytes(cursor.array(reading)?)),
        ValueType::I16 => Value::I16(i16::from_le_bytes(cursor.array(reading)?)),
        ValueType::U32 => Value::U32(u32::from_le_bytes(cursor.array(reading)?)),
        ValueType::I32 => Value::I32(i32::from_le_bytes(cursor.array(reading)?)),
        ValueType::F32 => Value::F32(f32::from_le_bytes(cursor.array(reading)?)),
        ValueType::Bool => Value::Bool(boolean(u8::from_le_bytes(cursor.array(reading)?), key)?),
        ValueType::String => Value::String(string(cursor, key)?),
        ValueType::Array => Value::Array(array(cursor, key, &mut Nesting::default())?),
        ValueType::U64 => Value::U64(u64::from_le_bytes(cursor.array(reading)?)),
        ValueType::I64 => Value::I64(i64::from_le_bytes(cursor.array(reading)?)),
        ValueType::F64 => Value::F64(f64::from_le_bytes(cursor.array(reading)?)),
    })
}

/// How far the arrays of one key go.
#[derive(Default)]
struct Nesting {
    /// Arrays around the one being read.
    depth: u32,
    /// Arrays seen inside arrays.
    arrays: u64,
}

fn array(cursor: &mut Cursor<'_>, key: &str, nesting: &mut Nesting) -> Result<Array, Malformed> {
    if nesting.depth >= MAX_ARRAY_DEPTH {
        return Err(Malformed::ArrayDepth { key: shown(key) });
    }
    let reading = Reading::Value(key);
    let id = cursor.u32(reading)?;
    let element = ValueType::from_id(id).ok_or_else(|| Malformed::ElementType { key: shown(key), found: id })?;
    let count = cursor.u64(reading)?;
    let limit = MAX_ARRAY_ELEMENTS.min(cursor.remaining() / element.least_bytes());
    if count > limit {
        return Err(Malformed::ArrayLength { key: shown(key), found: count, element: element.name(), limit });
    }
    Ok(match element {
        ValueType::U8 => Array::U8(cursor.numbers(count, reading, u8::from_le_bytes)?),
        ValueType::I8 => Array::I8(cursor.numbers(count, reading, i8::from_le_bytes)?),
        ValueType::U16 => Array::U16(cursor.numbers(count, reading, u16::from_le_bytes)?),
        ValueType::I16 => Array::I16(cursor.numbers(count, reading, i16::from_le_bytes)?),
        ValueType::U32 => Array::U32(cursor.numbers(count, reading, u32::from_le_bytes)?),
        ValueType::I32 => Array::I32(cursor.numbers(count, reading, i32::from_le_bytes)?),
        ValueType::F32 => Array::F32(cursor.numbers(count, reading, f32::from_le_bytes)?),
        ValueType::Bool => {
            let bytes = cursor.take(count, reading)?;
            Array::Bool(bytes.iter().map(|&byte| boolean(byte, key)).collect::<Result<_, _>>()?)
        }
        ValueType::String => Array::String(strings(cursor, key, count)?),
        ValueType::Array => {
            nesting.arrays = nesting.arrays.saturating_add(count);
            if nesting.arrays > MAX_NESTED_ARRAYS {
                return Err(Malformed::NestedArrays { key: shown(key) });
            }
            nesting.depth += 1;
            let mut arrays = Vec::new();
            for _ in 0..count {
                arrays.push(array(cursor, key, nesting)?);
            }
            nesting.depth -= 1;
            Array::Array(arrays)
        }
        ValueType::U64 => Array::U64(cursor.numbers(count, reading, u64::from_le_bytes)?),
        ValueType::I64 => Array::I64(cursor.numbers(count, reading, i64::from_le_bytes)?),
        ValueType::F64 => Array::F64(cursor.numbers(count, reading, f64::from_le_bytes)?),
    })
}

/// Walks the strings once for their sizes and once to copy them: two allocations of the right size, made when all is
/// known to be there.
fn strings(cursor: &mut Cursor<'_>, key: &str, count: u64) -> Result<StringArray, Malformed> {
    let start = cursor.clone();
    let mut bytes = 0;
    for _ in 0..count {
        bytes += string_bytes(cursor, key)?.len();
    }
    let mut again = start;
    let mut strings = StringArray::with_capacity(count as usize, bytes);
    for _ in 0..count {
        strings.push(string_bytes(&mut again, key)?);
    }
    Ok(strings)
}

fn string(cursor: &mut Cursor<'_>, key: &str) -> Result<String, Malformed> {
    let bytes = string_bytes(cursor, key)?;
    let string = std::str::from_utf8(bytes)
        .map_err(|error| Malformed::StringNotUtf8 { key: shown(key), at: error.valid_up_to() })?;
    Ok(string.to_owned())
}

fn string_bytes<'a>(cursor: &mut Cursor<'a>, key: &str) -> Result<&'a [u8], Malformed> {
    let found = cursor.u64(Reading::Value(key))?;
    let limit = MAX_STRING_BYTES.min(cursor.remaining());
    if found > limit {
        return Err(Malformed::StringLength { key: shown(key), found, limit });
    }
    cursor.take(found, Reading::Value(key))
}

fn boolean(byte: u8, key: &str) -> Result<bool, Malformed> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(Malformed::Boolean { key: shown(key), found }),
    }
}
