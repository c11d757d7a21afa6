//! What a sampler parameter is: name, type, default, range and documentation, declared once.
//!
//! Each sampler file declares its parameters with the `parameters!` macro, which makes a plain struct with public fields
//! and the table that command-line flags, JSON fields and documentation are derived from. Names are matched with `-` and
//! `_` taken as equal, and without regard to case.

use std::fmt;

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// No parameter has this name.
    #[error("there is no sampling parameter `{name}`; the nearest is `{nearest}`")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The parameter whose name is most alike.
        nearest: &'static str,
    },
    /// The text cannot be read as a value of the parameter's type.
    #[error("sampling parameter `{name}` is `{value}`, but must be {expected}")]
    Unreadable {
        /// The parameter.
        name: &'static str,
        /// The text that was given.
        value: String,
        /// What the text must look like.
        expected: String,
    },
    /// The value is outside of the parameter's range.
    #[error("sampling parameter `{name}` is {value}, but must be {range}")]
    OutOfRange {
        /// The parameter.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// The values that are allowed.
        range: Range,
    },
}

/// The type of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A whole number.
    Integer,
    /// A number with decimals.
    Float,
    /// A text with a form of its own; what it is stands in the parameter's documentation.
    Text,
}

/// The closed interval a number must lie in; infinite ends are open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest allowed value.
    pub minimum: f64,
    /// The greatest allowed value.
    pub maximum: f64,
}

impl Range {
    /// Every finite number.
    pub const ANY: Self = Self { minimum: f64::NEG_INFINITY, maximum: f64::INFINITY };

    /// From `minimum` upwards.
    pub const fn at_least(minimum: f64) -> Self {
        Self { minimum, maximum: f64::INFINITY }
    }

    /// From `minimum` to `maximum`, both included.
    pub const fn between(minimum: f64, maximum: f64) -> Self {
        Self { minimum, maximum }
    }

    /// Whether `value` is finite and inside.
    pub fn contains(&self, value: f64) -> bool {
        value.is_finite() && value >= self.minimum && value <= self.maximum
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.minimum.is_finite(), self.maximum.is_finite()) {
            (true, true) => write!(f, "from {} to {}", self.minimum, self.maximum),
            (true, false) => write!(f, "at least {}", self.minimum),
            (false, true) => write!(f, "at most {}", self.maximum),
            (false, false) => f.write_str("a finite number"),
        }
    }
}

/// One entry of the table of parameters.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The name, as a command-line flag would spell it: `top-k`.
    pub name: &'static str,
    /// Other names that are accepted: `temperature` for `temp`.
    pub aliases: &'static [&'static str],
    /// The type of the value.
    pub kind: ParameterKind,
    /// The allowed numbers; meaningless for [`ParameterKind::Text`].
    pub range: Range,
    /// What the parameter does, in a sentence.
    pub doc: &'static str,
    pub(crate) default: fn() -> String,
}

impl Parameter {
    /// The default value, in the form that `SamplerSettings::set` reads.
    pub fn default_text(&self) -> String {
        (self.default)()
    }

    /// Whether `name` is this parameter's name or one of its aliases.
    pub fn is_called(&self, name: &str) -> bool {
        same_name(self.name, name) || self.aliases.iter().any(|alias| same_name(alias, name))
    }
}

/// Equal but for case and for `-` against `_`.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    left.len() == right.len() && left.bytes().map(plain).eq(right.bytes().map(plain))
}

/// The number of single-character edits between two names (Levenshtein distance), for "did you mean".
pub(crate) fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// A type that a parameter can have.
pub(crate) trait ParameterValue: Sized {
    const KIND: ParameterKind;

    /// Reads the text, or says what it should have looked like.
    fn read(text: &str) -> Result<Self, String>;

    /// The inverse of [`ParameterValue::read`].
    fn show(&self) -> String;

    /// The value for the range check, where there is one.
    fn number(&self) -> Option<f64>;
}

macro_rules! number_values {
    ($($type:ty, $kind:ident, $expected:literal;)*) => {$(
        impl ParameterValue for $type {
            const KIND: ParameterKind = ParameterKind::$kind;
            fn read(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| $expected.to_owned())
            }
            fn show(&self) -> String {
                self.to_string()
            }
            fn number(&self) -> Option<f64> {
                Some(*self as f64)
            }
        }
    )*};
}

number_values! {
    i32, Integer, "a whole number";
    i64, Integer, "a whole number";
    f32, Float, "a number";
}

/// What every settings struct made by `parameters!` can do.
pub(crate) trait ParameterGroup {
    const PARAMETERS: &'static [Parameter];

    /// Sets the parameter whose canonical name is `name`; `Ok(false)` when this group has none of that name.
    fn set(&mut self, name: &str, text: &str) -> Result<bool, SettingError>;

    /// The value of the parameter whose canonical name is `name`, as text.
    fn get(&self, name: &str) -> Option<String>;

    /// Checks every value against its range.
    fn validate(&self) -> Result<(), SettingError>;
}

pub(crate) fn read_value<T: ParameterValue>(name: &'static str, text: &str, range: Range) -> Result<T, SettingError> {
    let value =
        T::read(text).map_err(|expected| SettingError::Unreadable { name, value: text.to_owned(), expected })?;
    check_range(name, &value, range)?;
    Ok(value)
}

pub(crate) fn check_range<T: ParameterValue>(name: &'static str, value: &T, range: Range) -> Result<(), SettingError> {
    match value.number() {
        Some(number) if !range.contains(number) => Err(SettingError::OutOfRange { name, value: value.show(), range }),
        _ => Ok(()),
    }
}

/// Declares a group of parameters: the struct, its defaults, and its part of the table.
///
/// A line reads `field: type = default, "name" | "alias" …, range;` under its documentation.
macro_rules! parameters {
    (
        $(#[$outer:meta])*
        pub struct $group:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr, $name:literal $(| $alias:literal)*, $range:expr;
            )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $group {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl Default for $group {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::parameter::ParameterGroup for $group {
            const PARAMETERS: &'static [$crate::parameter::Parameter] = &[$(
                $crate::parameter::Parameter {
                    name: $name,
                    aliases: &[$($alias),*],
                    kind: <$type as $crate::parameter::ParameterValue>::KIND,
                    range: $range,
                    doc: concat!($($doc),+).trim_ascii_start(),
                    default: || $crate::parameter::ParameterValue::show(&{ let default: $type = $default; default }),
                },
            )*];

            fn set(&mut self, name: &str, text: &str) -> Result<bool, $crate::parameter::SettingError> {
                match name {
                    $($name => self.$field = $crate::parameter::read_value($name, text, $range)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn get(&self, name: &str) -> Option<String> {
                match name {
                    $($name => Some($crate::parameter::ParameterValue::show(&self.$field)),)*
                    _ => None,
                }
            }

            fn validate(&self) -> Result<(), $crate::parameter::SettingError> {
                $($crate::parameter::check_range($name, &self.$field, $range)?;)*
                Ok(())
            }
        }
    };
}

pub(crate) use parameters;
