//! A file type by its name, as flags and lists of names have it.

use ascua_convert::quantize::FileType;

use crate::failure::usage;

/// For a flag: what is wrong is told beside the flag's name.
pub fn of_flag(name: &str) -> Result<FileType, String> {
    name.parse().map_err(|()| "one of `ascua quantize --list-types` is needed, such as F16, Q8_0, Q4_K_M".into())
}

/// For a name that stands alone.
pub fn of_name(name: &str) -> anyhow::Result<FileType> {
    of_flag(name).map_err(|hint| usage(format!("unknown type `{name}`"), hint))
}
