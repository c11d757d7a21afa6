//! Whole messages from a terminal (line editing, history) or from a pipe (a line is a message).

use std::io::{BufRead, IsTerminal, StdinLock, stdin};
use std::path::{Path, PathBuf};

use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

/// Lines kept in the history file.
const HISTORY_LINES: usize = 1000;
/// What stands before the first line of a message, and before the others.
const PROMPT: &str = "> ";
const CONTINUED: &str = "… ";
/// Begins and ends a message of several lines.
const FENCE: &str = "\"\"\"";

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A message, perhaps of several lines.
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// The end of the input.
    End,
}

/// Where messages come from.
pub enum MessageReader {
    /// A person at a terminal.
    Terminal {
        /// The editor with its history.
        editor: Box<DefaultEditor>,
        /// Where the history is kept.
        history: Option<PathBuf>,
    },
    /// Anything else.
    Lines(StdinLock<'static>),
}

impl MessageReader {
    /// Reads standard input; keeps the history of a terminal in `directory`.
    pub fn new(directory: Option<&Path>) -> anyhow::Result<MessageReader> {
        if !stdin().is_terminal() {
            return Ok(MessageReader::Lines(stdin().lock()));
        }
        let config = Config::builder().bracketed_paste(true).auto_add_history(false).build();
        let mut editor = DefaultEditor::with_config(config)?;
        editor.set_max_history_size(HISTORY_LINES)?;
        let history = directory.filter(|directory| std::fs::create_dir_all(directory).is_ok());
        let history = history.map(|directory| directory.join("chat-history.txt"));
        if let Some(path) = &history {
            // There is none the first time.
            let _ = editor.load_history(path);
        }
        Ok(MessageReader::Terminal { editor: Box::new(editor), history })
    }

    /// Whether a person types.
    pub fn is_terminal(&self) -> bool {
        matches!(self, MessageReader::Terminal { .. })
    }

    /// The next message.
    pub fn read(&mut self) -> anyhow::Result<Typed> {
        let mut message = MultiLine::default();
        loop {
            let line = match self.line(if message.is_open() { CONTINUED } else { PROMPT })? {
                Typed::Text(line) => line,
                Typed::End if message.is_open() => return Ok(self.finished(message.take())),
                other => return Ok(other),
            };
            if let Some(text) = message.push(&line) {
                return Ok(self.finished(text));
            }
        }
    }

    fn line(&mut self, prompt: &str) -> anyhow::Result<Typed> {
        match self {
            MessageReader::Terminal { editor, .. } => match editor.readline(prompt) {
                Ok(line) => Ok(Typed::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(error) => Err(error.into()),
            },
            MessageReader::Lines(lines) => {
                let mut line = Vec::new();
                if lines.read_until(b'\n', &mut line)? == 0 {
                    return Ok(Typed::End);
                }
                let line = String::from_utf8_lossy(&line);
                Ok(Typed::Text(line.trim_end_matches(['\n', '\r']).to_owned()))
            }
        }
    }

    fn finished(&mut self, text: String) -> Typed {
        if let MessageReader::Terminal { editor, history } = self
            && !text.trim().is_empty()
        {
            // A history that cannot be kept is no reason to end a conversation.
            let _ = editor.add_history_entry(text.as_str());
            if let Some(path) = history {
                let _ = editor.save_history(path);
            }
        }
        Typed::Text(text)
    }
}

/// Puts lines together to messages: `"""` fences, and backslashes at ends of lines.
#[derive(Debug, Default)]
struct MultiLine {
    text: String,
    fenced: bool,
    continued: bool,
}

impl MultiLine {
    fn is_open(&self) -> bool {
        self.fenced || self.continued
    }

    /// Takes a line; gives the message it ends.
    fn push(&mut self, line: &str) -> Option<String> {
        if self.fenced {
            let Some(last) = line.trim_end().strip_suffix(FENCE) else {
                self.text.push_str(line);
                self.text.push('\n');
                return None;
            };
            self.text.push_str(last);
            return Some(self.take());
        }
        if !self.continued
            && let Some(first) = line.trim_start().strip_prefix(FENCE)
        {
            self.fenced = true;
            if first.trim().is_empty() {
                return None;
            }
            return self.push(first);
        }
        if let Some(start) = line.strip_suffix('\\') {
            self.continued = true;
            self.text.push_str(start);
            self.text.push('\n');
            return None;
        }
        self.text.push_str(line);
        Some(self.take())
    }

    /// What is there, without the newline before a closing fence.
    fn take(&mut self) -> String {
        let mut text = std::mem::take(self).text;
        if text.ends_with('\n') {
            text.pop();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_messages() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["a", "b"], &["a", "b"]),
            (&["a\\", "b", "c"], &["a\nb", "c"]),
            (&["a\\", "b\\", "c"], &["a\nb\nc"]),
            (&["\"\"\"", "a", "", "b", "\"\"\""], &["a\n\nb"]),
            (&["\"\"\"a", "b\"\"\"", "c"], &["a\nb", "c"]),
            (&["\"\"\"a b\"\"\""], &["a b"]),
            (&["\"\"\"", "a\\", "\"\"\""], &["a\\"]),
            (&[""], &[""]),
            (&["\"quoted\""], &["\"quoted\""]),
            (&["a \"\"\""], &["a \"\"\""]),
        ];
        for (lines, expected) in cases {
            let mut reader = MultiLine::default();
            let messages: Vec<String> = lines.iter().filter_map(|line| reader.push(line)).collect();
            assert_eq!(&messages, expected, "{lines:?}");
            assert!(!reader.is_open());
        }
    }
}
