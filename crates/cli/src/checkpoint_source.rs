//! A checkpoint's directory as a model: converted into the cache on first use, found there from then on.

use std::io::Write;
use std::path::{Path, PathBuf};

use ascua::gguf::Metadata;
use ascua_convert::checkpoint::Checkpoint;
use ascua_convert::convert::{self, Conversion};
use ascua_convert::quantize::{FileType, Options, Plan, QuantizeError};
use ascua_convert::vocabulary::{self, Facts};
use ascua_hub::{HubError, MakeError, Original};

use crate::interrupt::Watch;
use crate::model_source::{SourceFlags, hub};
use crate::output;
use crate::progress::DownloadProgress;
use crate::written_model::report;

/// Weights below which four bits lose too much and eight cost little.
const SMALL: u64 = 1_000_000_000;
/// A conversion by another version of the program is made anew.
const CONVERTER: &str = concat!("ascua ", env!("CARGO_PKG_VERSION"));

/// The path of the converted model.
pub fn resolve(directory: &Path, flags: &SourceFlags) -> Result<PathBuf, HubError> {
    let failed = |error: anyhow::Error| {
        let source = error.into_boxed_dyn_error();
        HubError::Make { directory: directory.to_owned(), source }
    };
    let file_type = match flags.checkpoint_type {
        Some(file_type) => file_type,
        None => suited(directory).map_err(failed)?,
    };
    let original = Original { directory, file_type: file_type.name(), converter: CONVERTER };
    let watch = Watch::new();
    let mut waiting = DownloadProgress::new();
    let mut make = |out: &mut dyn Write| convert(directory, file_type, out, &watch);
    hub(flags).converted(original, &mut make, &mut |report| waiting.report(report), watch.flag())
}

/// The type that suits the size of a model.
fn suited(directory: &Path) -> anyhow::Result<FileType> {
    let weights: u64 = Checkpoint::open(directory)?.tensors().map(|tensor| tensor.elements()).sum();
    Ok(if weights < SMALL { FileType::Q8_0 } else { FileType::Q4_K_M })
}

fn convert(directory: &Path, file_type: FileType, out: &mut dyn Write, watch: &Watch) -> Result<(), MakeError> {
    output::note(&format!(
        "converting {} to {file_type} into the cache; --checkpoint-type chooses another type",
        directory.display()
    ));
    let mut written = || -> anyhow::Result<()> {
        let vocabulary = tokenizer_keys(directory, None)?;
        let conversion = Conversion::open(directory, &vocabulary)?;
        let plan = Plan::new(&conversion, Options::new(file_type))?;
        Ok(plan.write_to(out, &mut report("converting", watch))?)
    };
    written().map_err(|error| match error.downcast_ref() {
        Some(QuantizeError::Stopped) => MakeError::Cancelled,
        _ => MakeError::Failed(error.into_boxed_dyn_error()),
    })
}

/// The keys of a checkpoint's tokenizer, with what is doubtful about it said.
pub fn tokenizer_keys(directory: &Path, pre_tokenizer: Option<&str>) -> anyhow::Result<Metadata> {
    let facts = Facts { architecture: convert::architecture(directory)?, pre_tokenizer };
    let read = vocabulary::read(directory, &facts)?;
    read.warnings.iter().for_each(|warning| output::warn(&warning.to_string()));
    Ok(read.metadata)
}
