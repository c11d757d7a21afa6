//! `ascua gguf set`: gives keys of a file other values.

use std::path::PathBuf;

use ascua::gguf::Gguf;
use clap::Args;

use super::rewrite::{self, Target};
use crate::failure::Status;
use crate::key_value;
use crate::output;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf set model.gguf general.name=str:Mine --output mine.gguf
  ascua gguf set model.gguf llama.context_length=int:8192 tokenizer.ggml.add_bos_token=bool:true --force

TYPE is int, float, bool or str. A whole number takes the integer type the key has, u32 where it is new.
The file is written whole beside its target, which it then replaces: there must be room for it. Of a split model, the
part that is named is changed.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Give keys of a file other values
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file
    file: PathBuf,

    /// Keys with their values
    #[arg(required = true, value_name = "KEY=TYPE:VALUE")]
    values: Vec<String>,

    #[command(flatten)]
    target: Target,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let values = arguments.values.iter().map(|text| key_value::parse(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let keys = || values.iter().map(|(key, _)| key.as_str());
    rewrite::refuse_split_keys(keys())?;
    let gguf = Gguf::open_part(&arguments.file)?;
    let mut metadata = gguf.metadata().clone();
    for (key, value) in &values {
        let existing = gguf.metadata().get(key);
        let value = key_value::in_type_of(existing, key, value.clone())?;
        if let Some(existing) = existing.filter(|existing| existing.value_type() != value.value_type()) {
            let (before, after) = (existing.value_type().name(), value.value_type().name());
            output::warn(&format!("`{key}` was of type {before} and becomes {after}"));
        }
        metadata.insert(key, value);
    }
    let changes = rewrite::changes(gguf.metadata(), &metadata, keys());
    rewrite::write(&gguf, &arguments.file, &arguments.target, metadata, &changes)
}
