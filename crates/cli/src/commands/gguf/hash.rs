//! `ascua gguf hash`: hashes of a file's tensors, and whether they are those of a manifest.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ascua::gguf::Gguf;
use ascua_convert::inspect::{Digest, FileHashes, HashKind, hash};
use clap::Args;
use serde::Serialize;

use crate::failure::Status;
use crate::interrupt::Watch;
use crate::output;
use crate::output_flags::JsonFlag;
use crate::progress::WorkProgress;

const AFTER_HELP: &str = "\
Examples:
  ascua gguf hash model.gguf                          xxh64 of each tensor and of all
  ascua gguf hash model.gguf --sha256 --no-layer      one line
  ascua gguf hash model.gguf --all > model.manifest
  ascua gguf hash model.gguf --check model.manifest

Lines and values are those of llama-gguf-hash. Tensor data counts, keys do not. With --check and no kind the strongest of
the manifest is taken; entries are found by the name of the file, wherever it lies.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 a hash is another or none is in the manifest, 130 interrupted by
  Ctrl-C";

/// Hash a file's tensors, or check them against a manifest
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// GGUF file
    file: PathBuf,

    /// xxHash of 64 bits [default]
    #[arg(long)]
    xxh64: bool,

    /// SHA-1
    #[arg(long)]
    sha1: bool,

    /// SHA-256
    #[arg(long)]
    sha256: bool,

    /// A UUID (version 5) of the file
    #[arg(long)]
    uuid: bool,

    /// xxh64, SHA-1 and SHA-256
    #[arg(long)]
    all: bool,

    /// The file as a whole only
    #[arg(long)]
    no_layer: bool,

    /// Compare with the hashes in a manifest
    #[arg(long, short, value_name = "MANIFEST")]
    check: Option<PathBuf>,

    #[command(flatten)]
    json: JsonFlag,
}

#[derive(Serialize)]
struct Report {
    file: String,
    /// Whether the manifest's hashes are these; none without a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<bool>,
    hashes: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    /// None for the whole file.
    tensor: Option<String>,
    kind: &'static str,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Mismatch,
    NotFound,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::Ok => "Ok",
            Verdict::Mismatch => "Mismatch",
            Verdict::NotFound => "Not Found",
        }
    }
}

/// The hashes of a manifest by kind and name, without the directory of the file.
struct Manifest {
    hashes: HashMap<(HashKind, String), String>,
}

impl Manifest {
    /// Reads `KIND  HASH  FILE[:TENSOR]` lines, as llama-gguf-hash writes them.
    fn read(path: &Path) -> anyhow::Result<Manifest> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read manifest `{}`", path.display()))?;
        let mut hashes = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(hash), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
            if let Ok(kind) = kind.parse() {
                hashes.insert((kind, own_name(name).to_owned()), hash.to_owned());
            }
        }
        if hashes.is_empty() {
            anyhow::bail!("`{}` has no line of a known kind of hash", path.display());
        }
        Ok(Manifest { hashes })
    }

    /// The strongest kind it has.
    fn strongest(&self) -> Option<HashKind> {
        let has = |kind: &HashKind| self.hashes.keys().any(|(known, _)| known == kind);
        [HashKind::Sha256, HashKind::Sha1, HashKind::Xxh64, HashKind::Uuid].into_iter().find(has)
    }

    fn verdict(&self, digest: &Digest, name: &str) -> Verdict {
        match self.hashes.get(&(digest.kind, own_name(name).to_owned())) {
            Some(hash) if *hash == digest.text => Verdict::Ok,
            Some(_) => Verdict::Mismatch,
            None => Verdict::NotFound,
        }
    }
}

/// `FILE[:TENSOR]` without the directories of the file; a tensor's name may have slashes too.
fn own_name(name: &str) -> &str {
    let file_end = name.find(".gguf").unwrap_or(name.len());
    let start = name[..file_end].rfind(['/', '\\']).map_or(0, |slash| slash + 1);
    &name[start..]
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let manifest = arguments.check.as_deref().map(Manifest::read).transpose()?;
    let kinds = kinds(&arguments, manifest.as_ref());
    let gguf = Gguf::open_part(&arguments.file)?;
    let watch = Watch::new();
    let mut progress = WorkProgress::new("hashing");
    let hashes = hash(&gguf, &kinds, &mut |name, done, total| {
        progress.report(name, done, total);
        if watch.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let Ok(hashes) = hashes else { return Ok(Status::Interrupted) };
    let file = arguments.file.display().to_string();
    let lines = lines(&hashes, &file, &arguments, manifest.as_ref());
    let matches = manifest.is_some().then(|| {
        let verdicts = || lines.iter().filter_map(|line| line.manifest);
        verdicts().any(|verdict| verdict == Verdict::Ok) && !verdicts().any(|verdict| verdict == Verdict::Mismatch)
    });
    let report = Report { file, matches, hashes: lines };
    arguments.json.print(&report, |report| report.hashes.iter().map(|line| shown(line, &report.file)).collect())?;
    if matches == Some(false) {
        let found = report.hashes.iter().any(|line| line.manifest != Some(Verdict::NotFound));
        output::note(if found { "a hash is another" } else { "the manifest has none of these: it is of another file" });
        return Ok(Status::No);
    }
    Ok(Status::Done)
}

fn kinds(arguments: &Arguments, manifest: Option<&Manifest>) -> Vec<HashKind> {
    let asked: Vec<HashKind> = [
        (arguments.xxh64 || arguments.all, HashKind::Xxh64),
        (arguments.sha1 || arguments.all, HashKind::Sha1),
        (arguments.sha256 || arguments.all, HashKind::Sha256),
        (arguments.uuid, HashKind::Uuid),
    ]
    .into_iter()
    .filter_map(|(asked, kind)| asked.then_some(kind))
    .collect();
    if asked.is_empty() { vec![manifest.and_then(Manifest::strongest).unwrap_or(HashKind::Xxh64)] } else { asked }
}

fn lines(hashes: &FileHashes, file: &str, arguments: &Arguments, manifest: Option<&Manifest>) -> Vec<Line> {
    let line = |tensor: Option<&str>, digest: &Digest| {
        let name = tensor.map_or(file.to_owned(), |tensor| format!("{file}:{tensor}"));
        Line {
            tensor: tensor.map(str::to_owned),
            kind: digest.kind.name(),
            hash: digest.text.clone(),
            manifest: manifest.map(|manifest| manifest.verdict(digest, &name)),
        }
    };
    let mut lines = Vec::new();
    if !arguments.no_layer {
        for tensor in &hashes.tensors {
            lines.extend(tensor.digests.iter().map(|digest| line(Some(&tensor.name), digest)));
        }
    }
    lines.extend(hashes.whole.iter().map(|digest| line(None, digest)));
    lines
}

fn shown(line: &Line, file: &str) -> String {
    let tensor = line.tensor.as_ref().map_or(String::new(), |tensor| format!(":{tensor}"));
    let verdict = line.manifest.map_or(String::new(), |verdict| format!("  -  {}", verdict.text()));
    format!("{:<8}  {}  {file}{tensor}{verdict}", line.kind, line.hash)
}
