//! The directory of an adapter of PEFT as an adapter: converted as it is asked for.

use std::path::Path;

use ascua::Adapter;
use ascua::gguf::Gguf;
use ascua_convert::convert::{self, AdapterOptions, Conversion, PeftAdapter, drops_surplus_tokens};
use ascua_convert::quantize::{FileType, Options, Plan};
use ascua_convert::vocabulary::{self, Facts};

/// The adapter as a file, made for the model in `base` or in the directory that its settings name.
pub fn conversion(adapter: &PeftAdapter, base: Option<&Path>, file_type: FileType) -> anyhow::Result<Conversion> {
    let base = base.or_else(|| adapter.base());
    let tokens = base.map(tokens).transpose()?.flatten();
    Ok(adapter.conversion(&AdapterOptions { base, file_type, tokens })?)
}

/// How many tokens the base's tokenizer has, where that matters and it is there.
fn tokens(base: &Path) -> anyhow::Result<Option<u64>> {
    if !drops_surplus_tokens(base)? {
        return Ok(None);
    }
    let facts = Facts { architecture: convert::architecture(base)?, pre_tokenizer: None };
    let read = vocabulary::read(base, &facts).ok();
    Ok(read.and_then(|read| Some(read.metadata.strings("tokenizer.ggml.tokens").ok()??.len() as u64)))
}

/// The adapter in memory, to be called `name`.
pub fn load(adapter: &PeftAdapter, base: Option<&Path>, name: String) -> anyhow::Result<Adapter> {
    let conversion = conversion(adapter, base, FileType::F32)?;
    let plan = Plan::new(&conversion, Options { copy: true, ..Options::new(FileType::F32) })?;
    let file = Gguf::from_bytes(plan.to_bytes()?)?;
    Ok(Adapter::new(file, name)?)
}
