//! `ascua logits`: the raw answer of a model to given tokens, for checking it against others.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use ascua::gguf::{AtomicFile, TensorType};
use ascua::{ContextChoice, Precision};
use clap::Args;

use crate::failure::{Status, usage};
use crate::model_flags::ModelFlags;

const AFTER_HELP: &str = "\
Examples:
  ascua logits model.gguf --tokens 1,2,3 -o logits.f32
  ascua logits model.gguf --tokens 1,2,3 --precision exact -o logits.f32

The file holds little-endian F32 numbers: a row of vocabulary size for each position. With --precision exact arithmetic is
F32 throughout and so is the key-value cache.

Exit codes: 0 success, 1 failure, 2 wrong usage";

/// Rows of logits kept at a time.
const STEP_OUTPUTS: usize = 64;

/// Write the logits of given tokens to a file
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    model: String,

    /// Token ids, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',', required = true)]
    tokens: Vec<u32>,

    /// File to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    flags: ModelFlags,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let mut options = arguments.flags.options()?;
    if arguments.flags.ctx == 0 {
        options.context = ContextChoice::Tokens(arguments.tokens.len());
    } else if arguments.flags.ctx < arguments.tokens.len() {
        let message = format!("{} tokens do not fit into a context of {}", arguments.tokens.len(), arguments.flags.ctx);
        return Err(usage(message, "leave --ctx out, or make it larger"));
    }
    options.step_outputs = STEP_OUTPUTS;
    if options.precision == Precision::Exact {
        (options.key_type, options.value_type) = (TensorType::F32, TensorType::F32);
    }
    let mut model = arguments.flags.load_with(&arguments.model, &options)?.model;
    let failed = || format!("cannot write {}", arguments.output.display());
    let mut file = AtomicFile::create(&arguments.output).with_context(failed)?;
    let mut written = Ok(());
    ascua_eval::logits(&mut model, &arguments.tokens, &mut |row| {
        for value in row {
            if written.is_ok() {
                written = file.write_all(&value.to_le_bytes());
            }
        }
    })?;
    written.and_then(|()| file.commit()).with_context(failed)?;
    Ok(Status::Done)
}
