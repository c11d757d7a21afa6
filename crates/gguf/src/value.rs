//! Metadata values: the thirteen types a GGUF key can have.
//!
//! Read by `parse`, written by `encode`, asked through [`Metadata`](crate::Metadata). Ids and widths are facts of the
//! GGUF specification. Scalar strings are UTF-8 (a file that breaks this is refused by key); strings in arrays are
//! bytes, since a vocabulary may hold halves of characters.

use crate::StringArray;

macro_rules! value_types {
    ($($variant:ident = $id:literal, $name:literal;)*) => {
        /// The type of a metadata value, by its GGUF id.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        #[repr(u32)]
        pub enum ValueType { $($variant = $id,)* }

        impl ValueType {
            /// Every type, in order of id.
            pub const ALL: &'static [ValueType] = &[$(ValueType::$variant,)*];

            /// The type of a GGUF id.
            pub const fn from_id(id: u32) -> Option<ValueType> {
                match id { $($id => Some(ValueType::$variant),)* _ => None }
            }

            /// Its name, such as `u32`.
            pub const fn name(self) -> &'static str {
                match self { $(ValueType::$variant => $name,)* }
            }
        }

        impl Value {
            /// The type of the value.
            pub const fn value_type(&self) -> ValueType {
                match self { $(Value::$variant(_) => ValueType::$variant,)* }
            }
        }

        impl Array {
            /// The type of the elements.
            pub const fn element_type(&self) -> ValueType {
                match self { $(Array::$variant(_) => ValueType::$variant,)* }
            }

            /// Number of elements.
            pub fn len(&self) -> usize {
                match self { $(Array::$variant(elements) => elements.len(),)* }
            }
        }
    };
}

value_types! {
    U8 = 0, "u8";
    I8 = 1, "i8";
    U16 = 2, "u16";
    I16 = 3, "i16";
    U32 = 4, "u32";
    I32 = 5, "i32";
    F32 = 6, "f32";
    Bool = 7, "bool";
    String = 8, "string";
    Array = 9, "array";
    U64 = 10, "u64";
    I64 = 11, "i64";
    F64 = 12, "f64";
}

impl ValueType {
    /// The fewest bytes a value of this type takes in a file: its width, or that of the length before it.
    pub(crate) const fn least_bytes(self) -> u64 {
        match self {
            ValueType::U8 | ValueType::I8 | ValueType::Bool => 1,
            ValueType::U16 | ValueType::I16 => 2,
            ValueType::U32 | ValueType::I32 | ValueType::F32 => 4,
            ValueType::U64 | ValueType::I64 | ValueType::F64 | ValueType::String => 8,
            ValueType::Array => 12,
        }
    }
}

/// The value of a metadata key.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array in metadata; every element has the same type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(StringArray),
    Array(Vec<Array>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Value {
    /// The value of any integer type; wide enough for all of them.
    pub fn integer(&self) -> Option<i128> {
        Some(match *self {
            Value::U8(v) => v.into(),
            Value::I8(v) => v.into(),
            Value::U16(v) => v.into(),
            Value::I16(v) => v.into(),
            Value::U32(v) => v.into(),
            Value::I32(v) => v.into(),
            Value::U64(v) => v.into(),
            Value::I64(v) => v.into(),
            _ => return None,
        })
    }

    /// The value of any number type, floating or integer.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Value::F32(v) => Some(v.into()),
            Value::F64(v) => Some(v),
            _ => self.integer().map(|v| v as f64),
        }
    }
}

impl Array {
    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of an array of any integer type.
    pub fn integers(&self) -> Option<Box<dyn Iterator<Item = i128> + '_>> {
        Some(match self {
            Array::U8(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::I8(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::U16(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::I16(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::U32(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::I32(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::U64(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::I64(v) => Box::new(v.iter().map(|&v| v.into())),
            _ => return None,
        })
    }

    /// The elements of an array of any number type.
    pub fn numbers(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        Some(match self {
            Array::F32(v) => Box::new(v.iter().map(|&v| v.into())),
            Array::F64(v) => Box::new(v.iter().copied()),
            _ => Box::new(self.integers()?.map(|v| v as f64)),
        })
    }
}

macro_rules! conversions {
    ($($variant:ident($type:ty);)*) => {
        $(
            impl From<$type> for Value {
                fn from(value: $type) -> Value {
                    Value::$variant(value)
                }
            }

            impl From<Vec<$type>> for Array {
                fn from(elements: Vec<$type>) -> Array {
                    Array::$variant(elements)
                }
            }

            impl From<Vec<$type>> for Value {
                fn from(elements: Vec<$type>) -> Value {
                    Value::Array(Array::$variant(elements))
                }
            }
        )*
    };
}

conversions! {
    U8(u8);
    I8(i8);
    U16(u16);
    I16(i16);
    U32(u32);
    I32(i32);
    F32(f32);
    Bool(bool);
    Array(Array);
    U64(u64);
    I64(i64);
    F64(f64);
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<StringArray> for Array {
    fn from(strings: StringArray) -> Array {
        Array::String(strings)
    }
}

impl From<StringArray> for Value {
    fn from(strings: StringArray) -> Value {
        Value::Array(Array::String(strings))
    }
}
