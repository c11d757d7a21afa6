//! Where a prompt comes from: the command line, a file, standard input, or two of them.

use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::failure::usage;
use crate::output;

/// How long a silent pipe is waited for where there is a prompt without it. Scripts often leave a pipe open that nobody
/// will ever write to; what does write usually begins at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// Standard input, read by a thread of its own so that a silent one holds nobody up.
pub struct PipedInput {
    pieces: Receiver<std::io::Result<Vec<u8>>>,
    started: Instant,
}

impl PipedInput {
    /// Begins to read, where standard input is not a terminal.
    pub fn start() -> Option<PipedInput> {
        if stdin().is_terminal() {
            return None;
        }
        let (sender, pieces) = channel();
        let read = move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let piece = match stdin().lock().read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => Ok(buffer[..count].to_vec()),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                if sender.send(piece).is_err() || failed {
                    return;
                }
            }
        };
        // Where no thread can be had the channel closes at once: as if nothing was piped in.
        let _ = thread::Builder::new().name("standard input".into()).spawn(read);
        Some(PipedInput { pieces, started: Instant::now() })
    }

    /// Everything, however long it takes.
    pub fn read(self) -> anyhow::Result<String> {
        self.rest(Vec::new())
    }

    /// Everything if it begins within [`PATIENCE`]; nothing, with a word about it, if it does not.
    pub fn read_if_it_comes(self) -> anyhow::Result<String> {
        match self.pieces.recv_timeout(PATIENCE.saturating_sub(self.started.elapsed())) {
            Ok(first) => {
                let first = first.context("cannot read standard input")?;
                self.rest(first)
            }
            Err(RecvTimeoutError::Disconnected) => Ok(String::new()),
            Err(RecvTimeoutError::Timeout) => {
                let patience = PATIENCE.as_secs();
                output::warn(&format!(
                    "standard input is open, but nothing came within {patience} s; going on without it (-f - waits for it)"
                ));
                Ok(String::new())
            }
        }
    }

    fn rest(self, mut text: Vec<u8>) -> anyhow::Result<String> {
        for piece in self.pieces {
            text.extend(piece.context("cannot read standard input")?);
        }
        Ok(without_last_newline(&text))
    }
}

/// The text of `--file`; `-` is standard input.
pub fn read_file(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        return match PipedInput::start() {
            Some(input) => input.read(),
            None => {
                let mut text = Vec::new();
                stdin().lock().read_to_end(&mut text).context("cannot read standard input")?;
                Ok(without_last_newline(&text))
            }
        };
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read prompt file `{}`", path.display()))?;
    Ok(without_last_newline(&bytes))
}

/// The text of a file, without the newline that ends its last line: it is not part of the prompt.
fn without_last_newline(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    line.strip_suffix('\r').unwrap_or(line).to_owned()
}

/// What was given as a prompt.
pub struct PromptSources<'a> {
    /// On the command line.
    pub text: Option<&'a str>,
    /// `--file`.
    pub file: Option<&'a PathBuf>,
    /// Standard input, where it is not a terminal.
    pub piped: Option<PipedInput>,
}

impl PromptSources<'_> {
    /// The prompt: question first, then the material it is about, a blank line between them.
    pub fn read(self) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        parts.extend(self.text.map(str::to_owned));
        if let Some(path) = self.file {
            parts.push(read_file(path)?);
        }
        if let Some(piped) = self.piped {
            let text = if parts.is_empty() { piped.read()? } else { piped.read_if_it_comes()? };
            parts.push(text);
        }
        if parts.is_empty() {
            return Err(usage("there is no prompt", "ascua run \"Why is the sky blue?\", or `ascua chat` to talk"));
        }
        parts.retain(|part| !part.trim().is_empty());
        match parts.len() {
            0 => Err(usage("the prompt is empty", "give it after the model, with -p, with -f FILE or through a pipe")),
            1 => Ok(parts.remove(0)),
            _ => Ok(parts.iter().map(|part| part.trim_end()).collect::<Vec<_>>().join("\n\n")),
        }
    }
}
