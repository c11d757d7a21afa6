//! What a caller is told while a model is being fetched.
//!
//! Reports come after every piece of data (at most 256 KiB), so a caller that draws should limit its own rate.

use crate::HubError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is being done at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Another process or thread is fetching the same model; this one waits for it.
    Waiting,
    /// Bytes arrive from the network. The first report of a resumed download starts above zero.
    Downloading,
    /// A fetched archive is unpacked.
    Unpacking,
    /// The finished file is read once more to compare its checksum.
    Verifying,
    /// The server refused or the connection broke; the download goes on after a pause.
    Retrying,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Waiting => "waiting",
            Phase::Downloading => "downloading",
            Phase::Unpacking => "unpacking",
            Phase::Verifying => "verifying",
            Phase::Retrying => "retrying",
        })
    }
}

/// One report: `done` of `total` bytes of the phase, over all files of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done.
    pub phase: Phase,
    /// Name of the model file that will come out of it.
    pub file: &'a str,
    /// Bytes done so far in this phase (those of an earlier, cut download included).
    pub done: u64,
    /// Bytes this phase will take, where the server tells.
    pub total: Option<u64>,
}

/// The caller's two handles, carried through every step: whom to tell, and whether to stop.
pub(crate) struct Watch<'a> {
    report: &'a mut dyn FnMut(Progress<'_>),
    cancel: &'a AtomicBool,
    file: String,
    /// Bytes of files (or archives) already downloaded for the same model.
    pub(crate) before: u64,
    /// Bytes of all downloads for the model, where known.
    pub(crate) total: Option<u64>,
}

/// How long a raised flag may go unnoticed.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

impl<'a> Watch<'a> {
    pub(crate) fn new(report: &'a mut dyn FnMut(Progress<'_>), cancel: &'a AtomicBool, file: &str) -> Self {
        Watch { report, cancel, file: file.to_owned(), before: 0, total: None }
    }

    /// The file that the next reports are about.
    pub(crate) fn name(&mut self, file: &str) {
        self.file = file.to_owned();
    }

    pub(crate) fn check(&self) -> Result<(), HubError> {
        if self.cancel.load(Ordering::Relaxed) { Err(HubError::Cancelled) } else { Ok(()) }
    }

    pub(crate) fn tell(&mut self, phase: Phase, done: u64, total: Option<u64>) {
        (self.report)(Progress { phase, file: &self.file, done, total });
    }

    /// `done` of `total` bytes of the current download; what came before it is added.
    pub(crate) fn downloading(&mut self, phase: Phase, done: u64, total: Option<u64>) {
        let whole = self.total.or(total.map(|total| self.before.saturating_add(total)));
        self.tell(phase, self.before.saturating_add(done), whole);
    }

    /// Waits, with an eye on the flag.
    pub(crate) fn pause(&self, duration: Duration) -> Result<(), HubError> {
        let end = Instant::now() + duration;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(GLANCE));
        }
    }
}
