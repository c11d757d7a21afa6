//! `--lora FILE[:SCALE]`: an adapter, and how strongly it counts.

use std::path::{Path, PathBuf};

use ascua::Adapter;
use ascua::gguf::Gguf;
use ascua_convert::convert::{PeftAdapter, is_checkpoint, is_peft};

use crate::adapter_source;

/// A value of `--lora`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterFlag {
    path: PathBuf,
    scale: f32,
}

impl AdapterFlag {
    /// Opens the adapter; the directory of one of PEFT is converted. `model` is what the user called the model.
    pub fn open(&self, model: &str) -> anyhow::Result<Adapter> {
        if is_peft(&self.path) {
            // The directory the adapter names comes first: the model may be another of the same kind.
            let adapter = PeftAdapter::open(&self.path)?;
            let base = adapter.base().or_else(|| Some(Path::new(model)).filter(|model| is_checkpoint(model)));
            let name = self.path.display().to_string();
            return Ok(adapter_source::load(&adapter, base, name)?.scaled(self.scale)?);
        }
        let file = Gguf::open(&self.path)?;
        Ok(Adapter::new(file, self.path.display().to_string())?.scaled(self.scale)?)
    }
}

/// Reads a flag; `exists` says whether there is such a file.
///
/// What is after the last colon is the scale, unless the whole is the name of a file, or the colon is that of a drive.
fn read(text: &str, exists: impl Fn(&str) -> bool) -> Result<AdapterFlag, String> {
    let whole = || Ok(AdapterFlag { path: text.into(), scale: 1.0 });
    if text.is_empty() {
        return Err("a file is needed".into());
    }
    if exists(text) {
        return whole();
    }
    let Some((path, scale)) = text.rsplit_once(':').filter(|(path, _)| !path.is_empty()) else { return whole() };
    let is_drive = path.len() == 1 && path.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if is_drive && !exists(path) {
        return whole();
    }
    match scale.parse::<f32>() {
        Ok(scale) if scale.is_finite() => Ok(AdapterFlag { path: path.into(), scale }),
        _ if exists(path) => Err(format!("`{scale}` is not a scale: a number is needed, such as 0.5")),
        _ => whole(),
    }
}

/// Reads a flag.
pub fn parse(text: &str) -> Result<AdapterFlag, String> {
    read(text, |path| Path::new(path).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_told_from_the_rest_of_a_name() {
        let files = ["a.gguf", "half:0.5", r"C:\lora\a.gguf", "D"];
        let flag = |path: &str, scale: f32| Ok(AdapterFlag { path: path.into(), scale });
        for (text, expected) in [
            ("a.gguf", flag("a.gguf", 1.0)),
            ("a.gguf:0.5", flag("a.gguf", 0.5)),
            ("a.gguf:-2", flag("a.gguf", -2.0)),
            ("a.gguf:1e-3", flag("a.gguf", 1e-3)),
            ("half:0.5", flag("half:0.5", 1.0)),
            ("half:0.5:0.25", flag("half:0.5", 0.25)),
            (r"C:\lora\a.gguf", flag(r"C:\lora\a.gguf", 1.0)),
            (r"C:\lora\a.gguf:0.5", flag(r"C:\lora\a.gguf", 0.5)),
            (r"C:\lora\b.gguf", flag(r"C:\lora\b.gguf", 1.0)),
            ("C:1", flag("C:1", 1.0)),
            ("D:1", flag("D", 1.0)),
            ("missing", flag("missing", 1.0)),
            ("missing:0.5", flag("missing", 0.5)),
            ("missing:x", flag("missing:x", 1.0)),
            ("a.gguf:x", Err("`x` is not a scale: a number is needed, such as 0.5".into())),
            ("a.gguf:", Err("`` is not a scale: a number is needed, such as 0.5".into())),
            ("a.gguf:nan", Err("`nan` is not a scale: a number is needed, such as 0.5".into())),
            ("", Err("a file is needed".into())),
        ] {
            assert_eq!(read(text, |path| files.contains(&path)), expected, "{text}");
        }
    }
}
