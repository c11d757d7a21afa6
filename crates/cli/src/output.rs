//! Writing to standard output and standard error. Invariant: no write panics; a closed pipe is an error that ends the
//! command quietly.

use std::io::{self, Write};

use crate::terminal::Style;

/// Writes a line to standard output.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")
}

/// Writes lines to standard output.
pub fn lines(lines: &[String]) -> io::Result<()> {
    let mut out = buffered();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()
}

/// Standard output for many writes; to be flushed at the end.
pub fn buffered() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Writes a piece of text to standard output, visible at once.
pub fn piece(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a value to standard output as JSON on lines of its own.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string_pretty(value)?)?)
}

/// Writes a value to standard output as JSON on one line.
pub fn json_line(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// Writes a line to standard error. What cannot be told there cannot be told anywhere.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A `warning:` line.
pub fn warn(text: &str) {
    note(&format!("{} {text}", Style::of_stderr().warning("warning:")));
}
