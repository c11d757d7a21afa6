//! A file written again with other keys: what `set` and `remove` share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ascua::gguf::split::{SPLIT_COUNT_KEY, SPLIT_NUMBER_KEY, SPLIT_TENSORS_KEY};
use ascua::gguf::{Gguf, GgufWriter, Metadata, Overwrite, TargetError, WriteError, check_target};
use clap::Args;
use serde::Serialize;

use crate::failure::{Status, usage};
use crate::interrupt::Watch;
use crate::metadata_report::{Length, shown};
use crate::output;
use crate::output_flags::{ForceFlag, JsonFlag};
use crate::progress::WorkProgress;

/// Where a changed file goes.
#[derive(Args)]
pub struct Target {
    /// File to write, instead of replacing the input
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    force: ForceFlag,

    #[command(flatten)]
    json: JsonFlag,
}

/// What happened to a key.
#[derive(Serialize)]
pub struct Change {
    pub key: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    output: String,
    changes: &'a [Change],
}

/// The keys of a split belong to what `ascua gguf split` and `merge` do.
pub fn refuse_split_keys<'a>(mut keys: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    match keys.find(|key| [SPLIT_NUMBER_KEY, SPLIT_COUNT_KEY, SPLIT_TENSORS_KEY].contains(key)) {
        Some(key) => {
            Err(usage(format!("`{key}` tells the parts of a model apart"), "use `ascua gguf split` or `merge`"))
        }
        None => Ok(()),
    }
}

/// What becomes of these keys.
pub fn changes<'a>(before: &Metadata, after: &Metadata, keys: impl Iterator<Item = &'a str>) -> Vec<Change> {
    let text = |metadata: &Metadata, key: &str| metadata.get(key).map(|value| shown(value, Length::Cut));
    keys.map(|key| Change { key: key.to_owned(), before: text(before, key), after: text(after, key) }).collect()
}

/// Writes `gguf`, one file, with other keys where `target` says, and tells of the changes.
pub fn write(
    gguf: &Gguf,
    path: &Path,
    target: &Target,
    metadata: Metadata,
    changes: &[Change],
) -> anyhow::Result<Status> {
    let output = match &target.output {
        Some(output) => {
            check_target(output, gguf.paths(), target.force.overwrite())?;
            output
        }
        None if target.force.overwrite() == Overwrite::Replace => path,
        None => return Err(TargetError::Exists { path: path.to_owned() }.into()),
    };
    let written = copying(gguf, "writing", |report| {
        let mut writer = GgufWriter::new(metadata);
        writer.add_all(gguf, report)?;
        writer.write_file(output)
    })?;
    if written.is_none() {
        return Ok(Status::Interrupted);
    }
    target.json.print(&Report { output: output.display().to_string(), changes }, lines)?;
    Ok(Status::Done)
}

fn lines(report: &Report<'_>) -> Vec<String> {
    let absent = || "nothing".to_owned();
    let line = |change: &Change| {
        let (before, after) = (change.before.clone(), change.after.clone());
        format!("{}: {} → {}", change.key, before.unwrap_or_else(absent), after.unwrap_or_else(absent))
    };
    let mut lines: Vec<String> = report.changes.iter().map(line).collect();
    lines.push(report.output.clone());
    lines
}

/// Runs `write` on a file copied with a progress bar; `None` where Ctrl-C ended it, and nothing was written.
pub fn copying<T>(
    gguf: &Gguf,
    verb: &'static str,
    write: impl FnOnce(&ascua::gguf::CopyReport<'_>) -> Result<T, WriteError>,
) -> anyhow::Result<Option<T>> {
    let watch = Watch::new();
    let total = gguf.tensors().iter().map(|tensor| tensor.bytes()).sum();
    let (done, progress) = (AtomicU64::new(0), Mutex::new(WorkProgress::new(verb)));
    let result = write(&|name, bytes| {
        let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).report(name, done, total);
        if watch.is_raised() { Err(io::Error::other("stopped")) } else { Ok(()) }
    });
    drop(progress);
    match result {
        Ok(written) => Ok(Some(written)),
        Err(_) if watch.is_raised() => {
            output::note("stopped; nothing was written");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
