//! One file from one address: resumed, checked, published.
//!
//! The bytes grow in `NAME.part`; `NAME.part.json` notes where they come from, so that a later call (or process) goes on
//! only if it is about the same file. Invariant: `NAME` appears when all bytes are there and the checksum agrees, and the
//! two companions are gone then.

use crate::http::{Client, Failure, Head, Message, Patience, Request, Stream};
use crate::progress::{Phase, Watch};
use crate::{HubError, disk, url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What to fetch and what is known about it beforehand.
pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) authorization: Option<String>,
    pub(crate) destination: PathBuf,
    pub(crate) size: Option<u64>,
    /// Lower-case hexadecimal.
    pub(crate) sha256: Option<String>,
    pub(crate) content: Content,
}

/// What the file must look like where no checksum tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Gguf,
    Archive,
}

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// Companion of a `.part` file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// Without query: signed links differ each time.
    url: String,
    sha256: Option<String>,
    validator: Option<String>,
    total: Option<u64>,
}

/// Fetches the file, going on from what an earlier attempt left.
pub(crate) fn download(client: &Client, job: &Job, watch: &mut Watch<'_>) -> Result<Fetched, HubError> {
    let part = disk::beside(&job.destination, ".part");
    let note_path = disk::beside(&job.destination, ".part.json");
    let mut state = State::open(job, &part, &note_path)?;
    loop {
        let resumed = state.offset > 0;
        state.fill(client, job, watch)?;
        watch.downloading(Phase::Downloading, state.offset, Some(state.offset));
        match check(job, &part, watch) {
            Ok(sha256) => {
                disk::publish(&part, &job.destination)?;
                disk::delete(&note_path)?;
                return Ok(Fetched { size: state.offset, sha256 });
            }
            // The old bytes may be of another file than the new: once more from the start.
            Err(HubError::Checksum { .. } | HubError::NotGguf { .. }) if resumed => state.restart()?,
            Err(error @ (HubError::Checksum { .. } | HubError::NotGguf { .. })) => {
                disk::delete(&part)?;
                disk::delete(&note_path)?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 of a file, read in pieces; `done` and `total` are reported as [`Phase::Verifying`].
pub(crate) fn sha256_of(path: &Path, watch: &mut Watch<'_>) -> Result<String, HubError> {
    let mut file = File::open(path).map_err(|e| HubError::io("open", path, e))?;
    let total = file.metadata().map_err(|e| HubError::io("read", path, e))?.len();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        watch.check()?;
        watch.tell(Phase::Verifying, done, Some(total));
        let read = file.read(&mut buffer).map_err(|e| HubError::io("read", path, e))?;
        if read == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
        done += read as u64;
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The growing file.
struct State<'a> {
    part: &'a Path,
    note_path: &'a Path,
    file: File,
    offset: u64,
    note: Note,
}

impl<'a> State<'a> {
    fn open(job: &Job, part: &'a Path, note_path: &'a Path) -> Result<Self, HubError> {
        let fresh = Note { url: url::redact(&job.url), sha256: job.sha256.clone(), validator: None, total: job.size };
        let old: Option<Note> = fs::read(note_path).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let file =
            OpenOptions::new().create(true).append(true).open(part).map_err(|e| disk::write_error(part, 0, e))?;
        let length = file.metadata().map_err(|e| HubError::io("read", part, e))?.len();
        let mut state = State { part, note_path, file, offset: length, note: fresh };
        match old {
            Some(old) if state.continues(&old) => state.note = Note { total: state.note.total.or(old.total), ..old },
            _ => state.restart()?,
        }
        if state.note.total.is_some_and(|total| state.offset > total) {
            state.restart()?;
        }
        Ok(state)
    }

    /// Whether the bytes noted earlier belong to the file asked for now.
    fn continues(&self, old: &Note) -> bool {
        match (&self.note.sha256, &old.sha256) {
            (Some(new), Some(old)) => new == old,
            (None, None) => self.note.url == old.url && (self.note.total.is_none() || self.note.total == old.total),
            _ => false,
        }
    }

    fn restart(&mut self) -> Result<(), HubError> {
        if self.offset > 0 {
            self.file.set_len(0).map_err(|e| HubError::io("shorten", self.part, e))?;
            self.offset = 0;
        }
        self.note.validator = None;
        disk::delete(self.note_path)
    }

    /// Requests until all bytes are there.
    fn fill(&mut self, client: &Client, job: &Job, watch: &mut Watch<'_>) -> Result<(), HubError> {
        let mut patience = Patience::new(client.retries, &job.url);
        patience.starts_at(self.offset);
        let mut known = job.size;
        loop {
            if known.or(self.note.total).is_some_and(|total| total > 0 && self.offset == total) {
                return Ok(());
            }
            watch.downloading(Phase::Downloading, self.offset, known.or(self.note.total));
            let stream = client.send(Request {
                url: job.url.clone(),
                authorization: job.authorization.clone(),
                from: self.offset,
                if_range: self.note.validator.clone(),
                ..Request::default()
            });
            let head = match stream.next(watch)? {
                Message::Head(head) => head,
                Message::Failed(failure) => {
                    patience.failed(failure, watch)?;
                    continue;
                }
                Message::Bytes(_) | Message::End => continue,
            };
            match self.start(job, &head)? {
                Start::Body(total) => known = total,
                Start::Complete => return Ok(()),
                Start::Refused => {
                    patience.refused(&head, watch)?;
                    continue;
                }
                Start::Mismatch(message) => {
                    patience.failed(Failure::Lost(message.into()), watch)?;
                    continue;
                }
            }
            match self.receive(&stream, job, known, &mut patience, watch)? {
                Received::Complete => return Ok(()),
                Received::Failed(failure) => patience.failed(failure, watch)?,
            }
        }
    }

    /// Reads the headers: where the body starts, how long the file is, whether it fits on the disk.
    fn start(&mut self, job: &Job, head: &Head) -> Result<Start, HubError> {
        let total = match head.status {
            200 => {
                self.restart()?;
                head.length()
            }
            206 => match head.content_range() {
                Some((Some(first), total)) if first == self.offset => {
                    let agreed = job.size.or(self.note.total);
                    if agreed.is_some() && total.is_some() && agreed != total {
                        // Another file than the one begun.
                        self.note.total = job.size;
                        self.restart()?;
                        return Ok(Start::Mismatch("the file has changed at the source"));
                    }
                    total.or_else(|| head.length().map(|rest| rest + self.offset))
                }
                _ => {
                    self.restart()?;
                    return Ok(Start::Mismatch("the server sends another range than the one asked for"));
                }
            },
            416 if self.offset > 0 => {
                return if head.content_range().is_some_and(|(_, total)| total == Some(self.offset)) {
                    Ok(Start::Complete)
                } else {
                    self.restart()?;
                    Ok(Start::Mismatch("the file has changed at the source"))
                };
            }
            _ => return Ok(Start::Refused),
        };
        if let (Some(expected), Some(found)) = (job.size, total)
            && expected != found
        {
            return Err(HubError::Length { url: url::redact(&job.url), expected, found });
        }
        let total = total.or(job.size);
        if let Some(total) = total {
            disk::require_space(self.part, total.saturating_sub(self.offset))?;
        }
        self.note.validator = head.validator();
        self.note.total = total;
        let json = serde_json::to_vec(&self.note).unwrap_or_default();
        disk::write_whole(self.note_path, &json)?;
        Ok(Start::Body(total))
    }

    /// Appends the body.
    fn receive(
        &mut self,
        stream: &Stream,
        job: &Job,
        total: Option<u64>,
        patience: &mut Patience,
        watch: &mut Watch<'_>,
    ) -> Result<Received, HubError> {
        loop {
            match stream.next(watch)? {
                Message::Bytes(bytes) => {
                    let left = total.map_or(bytes.len() as u64, |total| total.saturating_sub(self.offset));
                    if (bytes.len() as u64) > left {
                        let found = self.offset + bytes.len() as u64;
                        self.restart()?;
                        let expected = total.unwrap_or_default();
                        return Err(HubError::Length { url: url::redact(&job.url), expected, found });
                    }
                    self.file.write_all(&bytes).map_err(|e| disk::write_error(self.part, left, e))?;
                    self.offset += bytes.len() as u64;
                    patience.reached(self.offset);
                    watch.downloading(Phase::Downloading, self.offset, total);
                }
                Message::End if total.is_none_or(|total| self.offset == total) => return Ok(Received::Complete),
                Message::End => {
                    return Ok(Received::Failed(Failure::Lost("the connection broke off".into())));
                }
                Message::Failed(failure) => return Ok(Received::Failed(failure)),
                Message::Head(_) => {}
            }
        }
    }
}

enum Start {
    /// The body follows; the length of the whole file where known.
    Body(Option<u64>),
    /// Nothing is missing.
    Complete,
    /// The status says no.
    Refused,
    /// The answer does not fit what has arrived so far; the next attempt starts from the beginning.
    Mismatch(&'static str),
}

enum Received {
    Complete,
    Failed(Failure),
}

/// Compares the checksum, or where none is known looks at the first bytes; gives the SHA-256.
fn check(job: &Job, part: &Path, watch: &mut Watch<'_>) -> Result<String, HubError> {
    if job.content == Content::Gguf && job.sha256.is_none() {
        let mut magic = Vec::new();
        let file = File::open(part).map_err(|e| HubError::io("open", part, e))?;
        file.take(4).read_to_end(&mut magic).map_err(|e| HubError::io("read", part, e))?;
        if magic != b"GGUF" {
            let found = if magic.is_empty() { "nothing".into() } else { format!("\"{}\"", magic.escape_ascii()) };
            return Err(HubError::NotGguf { url: url::redact(&job.url), found });
        }
    }
    let found = sha256_of(part, watch)?;
    match &job.sha256 {
        Some(expected) if *expected != found => {
            Err(HubError::Checksum { file: url::redact(&job.url), expected: expected.clone(), found })
        }
        _ => Ok(found),
    }
}
