//! The keys of a file: ordered, unique, asked by type.
//!
//! The getters answer `Ok(None)` for an absent key and an error, with key, found and wanted, for a present key of
//! another type: a wrong file is never mistaken for a file with defaults. Integers are taken from any integer type
//! they fit in, since writers disagree about widths.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::{Array, StringArray, Value};

/// Key under which every model names its architecture.
pub const ARCHITECTURE_KEY: &str = "general.architecture";

/// A key that is missing or does not hold what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A key that is needed is not in the file.
    #[error("metadata key `{key}` is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// The key has a value of another type.
    #[error("metadata key `{key}` holds {found}, wanted {wanted}")]
    Type {
        /// The key.
        key: String,
        /// The type found.
        found: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The number does not fit.
    #[error("metadata key `{key}` holds {found}, which is not {wanted}")]
    Range {
        /// The key.
        key: String,
        /// The number found.
        found: i128,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The array has another length than the model needs.
    #[error("metadata key `{key}` has {found} elements, wanted {wanted}")]
    Length {
        /// The key.
        key: String,
        /// Elements found.
        found: usize,
        /// Elements wanted.
        wanted: usize,
    },
}

impl MetadataError {
    /// The error of a needed key that is absent, for `metadata.unsigned(key)?.ok_or_else(…)`.
    pub fn missing(key: &str) -> MetadataError {
        MetadataError::Missing { key: key.to_owned() }
    }

    fn wrong_type(key: &str, value: &Value, wanted: &'static str) -> MetadataError {
        let found = match value {
            Value::Array(array) => format!("an array of {}", array.element_type().name()),
            scalar => format!("a value of type {}", scalar.value_type().name()),
        };
        MetadataError::Type { key: key.to_owned(), found, wanted }
    }
}

/// The key–value pairs of a file, in the file's order.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    entries: Vec<(Arc<str>, Value)>,
    index: HashMap<Arc<str>, usize>,
}

impl Metadata {
    /// No keys.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|&position| &self.entries[position].1)
    }

    /// Whether `key` is present.
    pub fn contains(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    /// Every key and value, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Sets `key`: in its place where it exists (the old value is returned), else at the end.
    pub fn insert(&mut self, key: impl AsRef<str>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.as_ref(), value.into());
        if let Some(&position) = self.index.get(key) {
            return Some(std::mem::replace(&mut self.entries[position].1, value));
        }
        let key: Arc<str> = key.into();
        self.index.insert(key.clone(), self.entries.len());
        self.entries.push((key, value));
        None
    }

    /// Removes `key`; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let position = self.index.remove(key)?;
        let (_, value) = self.entries.remove(position);
        for later in self.index.values_mut().filter(|later| **later > position) {
            *later -= 1;
        }
        Some(value)
    }

    /// The architecture's name; needed in every model.
    pub fn architecture(&self) -> Result<&str, MetadataError> {
        self.string(ARCHITECTURE_KEY)?.ok_or_else(|| MetadataError::missing(ARCHITECTURE_KEY))
    }

    /// A string.
    pub fn string(&self, key: &str) -> Result<Option<&str>, MetadataError> {
        self.typed(key, "a string", |value| match value {
            Value::String(string) => Some(string.as_str()),
            _ => None,
        })
    }

    /// A boolean.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, MetadataError> {
        self.typed(key, "a boolean", |value| match value {
            Value::Bool(boolean) => Some(*boolean),
            _ => None,
        })
    }

    /// A whole number that is not negative, of any integer type.
    pub fn unsigned(&self, key: &str) -> Result<Option<u64>, MetadataError> {
        let wanted = "an unsigned integer";
        self.typed(key, wanted, Value::integer)?.map(|found| fit(key, found, wanted)).transpose()
    }

    /// A whole number of any integer type.
    pub fn signed(&self, key: &str) -> Result<Option<i64>, MetadataError> {
        let wanted = "a signed integer";
        self.typed(key, wanted, Value::integer)?.map(|found| fit(key, found, wanted)).transpose()
    }

    /// A number of any type. An F32 passes through unchanged: `as f32` gives it back exactly.
    pub fn float(&self, key: &str) -> Result<Option<f64>, MetadataError> {
        self.typed(key, "a number", Value::number)
    }

    /// An array of strings.
    pub fn strings(&self, key: &str) -> Result<Option<&StringArray>, MetadataError> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(Array::String(strings)) => Some(strings),
            _ => None,
        })
    }

    /// An array of numbers of any type.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f32>>, MetadataError> {
        self.typed(key, "an array of numbers", |value| match value {
            Value::Array(Array::F32(floats)) => Some(floats.clone()),
            Value::Array(array) => Some(array.numbers()?.map(|number| number as f32).collect()),
            _ => None,
        })
    }

    /// An array of whole numbers of any integer type.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, MetadataError> {
        self.whole_numbers(key, "an array of signed integers", "a signed integer")
    }

    /// An array of whole numbers that are not negative, of any integer type.
    pub fn unsigned_integers(&self, key: &str) -> Result<Option<Vec<u64>>, MetadataError> {
        self.whole_numbers(key, "an array of unsigned integers", "an unsigned integer")
    }

    /// An array of booleans.
    pub fn booleans(&self, key: &str) -> Result<Option<&[bool]>, MetadataError> {
        self.typed(key, "an array of booleans", |value| match value {
            Value::Array(Array::Bool(booleans)) => Some(booleans.as_slice()),
            _ => None,
        })
    }

    /// Raw bytes: an array of u8 or, as some writers have it, of i8.
    pub fn bytes(&self, key: &str) -> Result<Option<Cow<'_, [u8]>>, MetadataError> {
        self.typed(key, "an array of bytes", |value| match value {
            Value::Array(Array::U8(bytes)) => Some(Cow::Borrowed(bytes.as_slice())),
            Value::Array(Array::I8(bytes)) => Some(Cow::Owned(bytes.iter().map(|&byte| byte as u8).collect())),
            _ => None,
        })
    }

    /// One whole number per layer: an array of exactly `layers` elements, or one number that stands for all.
    pub fn unsigned_per_layer(&self, key: &str, layers: usize) -> Result<Option<Vec<u64>>, MetadataError> {
        match self.get(key) {
            Some(Value::Array(_)) => {
                let Some(numbers) = self.unsigned_integers(key)? else { return Ok(None) };
                exactly(key, numbers, layers).map(Some)
            }
            _ => Ok(self.unsigned(key)?.map(|number| vec![number; layers])),
        }
    }

    /// One number per layer: an array of exactly `layers` elements, or one number that stands for all.
    pub fn float_per_layer(&self, key: &str, layers: usize) -> Result<Option<Vec<f32>>, MetadataError> {
        match self.get(key) {
            Some(Value::Array(_)) => {
                let Some(numbers) = self.floats(key)? else { return Ok(None) };
                exactly(key, numbers, layers).map(Some)
            }
            _ => Ok(self.float(key)?.map(|number| vec![number as f32; layers])),
        }
    }

    /// One boolean per layer: an array of exactly `layers` elements, or one boolean that stands for all.
    pub fn boolean_per_layer(&self, key: &str, layers: usize) -> Result<Option<Vec<bool>>, MetadataError> {
        match self.get(key) {
            Some(Value::Array(_)) => {
                let Some(booleans) = self.booleans(key)? else { return Ok(None) };
                exactly(key, booleans.to_vec(), layers).map(Some)
            }
            _ => Ok(self.boolean(key)?.map(|boolean| vec![boolean; layers])),
        }
    }

    fn whole_numbers<T: TryFrom<i128>>(
        &self,
        key: &str,
        wanted: &'static str,
        element: &'static str,
    ) -> Result<Option<Vec<T>>, MetadataError> {
        let integers = self.typed(key, wanted, |value| match value {
            Value::Array(array) => array.integers(),
            _ => None,
        })?;
        integers.map(|integers| integers.map(|found| fit(key, found, element)).collect()).transpose()
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &'static str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, MetadataError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        take(value).map(Some).ok_or_else(|| MetadataError::wrong_type(key, value, wanted))
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Metadata) -> bool {
        self.entries == other.entries
    }
}

impl<K: AsRef<str>, V: Into<Value>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Metadata {
        let mut metadata = Metadata::new();
        for (key, value) in pairs {
            metadata.insert(key, value);
        }
        metadata
    }
}

fn fit<T: TryFrom<i128>>(key: &str, found: i128, wanted: &'static str) -> Result<T, MetadataError> {
    T::try_from(found).map_err(|_| MetadataError::Range { key: key.to_owned(), found, wanted })
}

fn exactly<T>(key: &str, elements: Vec<T>, wanted: usize) -> Result<Vec<T>, MetadataError> {
    if elements.len() != wanted {
        return Err(MetadataError::Length { key: key.to_owned(), found: elements.len(), wanted });
    }
    Ok(elements)
}
