//! `ascua gguf remove`: takes keys out of a file.

use std::path::PathBuf;

use ascua::gguf::{ARCHITECTURE_KEY, Gguf, MetadataError};
use clap::Args;

use super::rewrite::{self, Target};
use crate::failure::{Status, usage};

const AFTER_HELP: &str = "\
Examples:
  ascua gguf remove model.gguf tokenizer.chat_template --output plain.gguf
  ascua gguf remove model.gguf general.url general.source.url --force

The file is written whole beside its target, which it then replaces: there must be room for it.

Exit codes: 0 success, 1 failure (also where a key is not there), 2 wrong usage, 130 interrupted by Ctrl-C";

/// Take keys out of a file
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file
    file: PathBuf,

    /// Keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,

    #[command(flatten)]
    target: Target,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let keys = || arguments.keys.iter().map(String::as_str);
    rewrite::refuse_split_keys(keys())?;
    if keys().any(|key| key == ARCHITECTURE_KEY) {
        return Err(usage(format!("without `{ARCHITECTURE_KEY}` the file is no model"), "`ascua gguf set` changes it"));
    }
    let gguf = Gguf::open_part(&arguments.file)?;
    let mut metadata = gguf.metadata().clone();
    for key in keys() {
        metadata.remove(key).ok_or_else(|| MetadataError::missing(key))?;
    }
    let changes = rewrite::changes(gguf.metadata(), &metadata, keys());
    rewrite::write(&gguf, &arguments.file, &arguments.target, metadata, &changes)
}
