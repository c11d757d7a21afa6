//! `KEY=TYPE:VALUE`, as flags and `ascua gguf set` take it.

use ascua::gguf::Value;

use crate::failure::usage;

/// The key and its value. Integers become unsigned 32-bit ones and floats 32-bit ones, as in llama.cpp's files; integers
/// that do not fit there the first of i32, u64 and i64 they fit in.
pub fn parse(text: &str) -> anyhow::Result<(String, Value)> {
    let wrong = || {
        usage(
            format!("`{text}` is not KEY=TYPE:VALUE with int, float, bool or str as TYPE"),
            "for example: general.name=str:Mine, or …=int:4096",
        )
    };
    let (key, rest) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(wrong)?;
    let (kind, value) = rest.split_once(':').ok_or_else(wrong)?;
    let value = match kind {
        "int" => integer(value).ok_or_else(wrong)?,
        "float" => Value::F32(value.parse().map_err(|_| wrong())?),
        "bool" => Value::Bool(value.parse().map_err(|_| wrong())?),
        "str" => Value::String(value.to_owned()),
        _ => return Err(wrong()),
    };
    Ok((key.to_owned(), value))
}

fn integer(text: &str) -> Option<Value> {
    let unsigned = text.parse().map(Value::U32);
    let unsigned = unsigned.or_else(|_| text.parse().map(Value::I32));
    unsigned.or_else(|_| text.parse().map(Value::U64)).or_else(|_| text.parse().map(Value::I64)).ok()
}

/// `value` in the number type the key has already; as it is where it has none.
pub fn in_type_of(existing: Option<&Value>, key: &str, value: Value) -> anyhow::Result<Value> {
    let (Some(existing), Some(number)) = (existing, value.integer()) else {
        return Ok(match (existing, value) {
            (Some(Value::F64(_)), Value::F32(number)) => {
                Value::F64(number.to_string().parse().unwrap_or(number.into()))
            }
            (_, value) => value,
        });
    };
    let fitted = match existing {
        Value::U8(_) => number.try_into().ok().map(Value::U8),
        Value::I8(_) => number.try_into().ok().map(Value::I8),
        Value::U16(_) => number.try_into().ok().map(Value::U16),
        Value::I16(_) => number.try_into().ok().map(Value::I16),
        Value::U32(_) => number.try_into().ok().map(Value::U32),
        Value::I32(_) => number.try_into().ok().map(Value::I32),
        Value::U64(_) => number.try_into().ok().map(Value::U64),
        Value::I64(_) => number.try_into().ok().map(Value::I64),
        _ => Some(value),
    };
    let name = existing.value_type().name();
    fitted.ok_or_else(|| usage(format!("{number} does not fit `{key}`, which is {name}"), "remove the key first"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_given_with_their_type() {
        for (text, expected) in [
            ("a.b=int:7", Some(("a.b", Value::U32(7)))),
            ("a.b=int:-7", Some(("a.b", Value::I32(-7)))),
            ("a.b=int:4294967296", Some(("a.b", Value::U64(1 << 32)))),
            ("a.b=int:-4294967296", Some(("a.b", Value::I64(-1 << 32)))),
            ("a.b=int:18446744073709551616", None),
            ("a.b=float:0.5", Some(("a.b", Value::F32(0.5)))),
            ("a.b=bool:true", Some(("a.b", Value::Bool(true)))),
            ("a.b=str:x=y:z", Some(("a.b", Value::String("x=y:z".into())))),
            ("a.b=u8:7", None),
            ("a.b", None),
            ("=int:7", None),
        ] {
            let found = parse(text).ok();
            assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)), "{text}");
        }
    }

    #[test]
    fn a_number_takes_the_type_the_key_has() {
        for (existing, value, expected) in [
            (Some(Value::U16(3)), Value::U32(7), Some(Value::U16(7))),
            (Some(Value::I64(3)), Value::I32(-7), Some(Value::I64(-7))),
            (Some(Value::U8(3)), Value::U32(256), None),
            (Some(Value::F64(3.0)), Value::F32(0.1), Some(Value::F64(0.1))),
            (Some(Value::Bool(true)), Value::U32(7), Some(Value::U32(7))),
            (None, Value::U32(7), Some(Value::U32(7))),
        ] {
            assert_eq!(in_type_of(existing.as_ref(), "k", value.clone()).ok(), expected, "{existing:?} {value:?}");
        }
    }
}
