//! Whole messages from a terminal (line editing, history) or from a pipe (a line is a message).

use std::io::{BufRead, IsTerminal, StdinLock, stdin};
use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper};

/// Lines kept in the history file.
const HISTORY_LINES: usize = 1000;
/// What stands before a message.
const PROMPT: &str = "> ";
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
        editor: Box<Editor<Completeness, DefaultHistory>>,
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
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Completeness));
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
        match self {
            MessageReader::Terminal { editor, history } => match editor.readline(PROMPT) {
                Ok(typed) => {
                    if !typed.trim().is_empty() {
                        // A history that cannot be kept is no reason to end a conversation.
                        let _ = editor.add_history_entry(typed.as_str());
                        let _ = history.as_ref().map(|path| editor.save_history(path));
                    }
                    Ok(Typed::Text(message(&typed).unwrap_or(typed)))
                }
                Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(error) => Err(error.into()),
            },
            MessageReader::Lines(lines) => read_lines(lines),
        }
    }
}

/// The next message of a pipe.
fn read_lines(lines: &mut impl BufRead) -> anyhow::Result<Typed> {
    let mut typed = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(if typed.is_empty() { Typed::End } else { Typed::Text(cut_message(&typed)) });
        }
        if !typed.is_empty() {
            typed.push('\n');
        }
        typed.push_str(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        if let Some(message) = message(&typed) {
            return Ok(Typed::Text(message));
        }
    }
}

/// The message in what was typed so far; `None` while it goes on: inside a fence, or after a backslash at the end.
fn message(typed: &str) -> Option<String> {
    if let Some(inside) = typed.trim_start().strip_prefix(FENCE) {
        return inside.trim_end().strip_suffix(FENCE).map(without_edges);
    }
    (!typed.ends_with('\\')).then(|| typed.replace("\\\n", "\n"))
}

/// The message where no more will come.
fn cut_message(typed: &str) -> String {
    match typed.trim_start().strip_prefix(FENCE) {
        Some(inside) => without_edges(inside),
        None => typed.strip_suffix('\\').unwrap_or(typed).replace("\\\n", "\n"),
    }
}

/// Without the newlines that belong to the fences.
fn without_edges(inside: &str) -> String {
    let inside = inside.strip_prefix('\n').unwrap_or(inside);
    inside.strip_suffix('\n').unwrap_or(inside).to_owned()
}

/// Lets the editor go on to the next line while a message is incomplete.
#[derive(Debug, Default)]
pub struct Completeness;

impl Validator for Completeness {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match message(context.input()) {
            Some(_) => ValidationResult::Valid(None),
            None => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Completeness {
    type Candidate = String;
}

impl Hinter for Completeness {
    type Hint = String;
}

impl Highlighter for Completeness {}
impl Helper for Completeness {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_it_is_complete() {
        for (typed, expected) in [
            ("a", Some("a")),
            ("", Some("")),
            ("pasted\ntext", Some("pasted\ntext")),
            ("a\\", None),
            ("a\\\nb", Some("a\nb")),
            ("a\\\nb\\", None),
            ("\"\"\"", None),
            ("\"\"\"\na\n\nb", None),
            ("\"\"\"\na\n\nb\n\"\"\"", Some("a\n\nb")),
            ("\"\"\"a\nb\"\"\"", Some("a\nb")),
            ("\"\"\"a b\"\"\"", Some("a b")),
            ("\"\"\"\na\\\nb\n\"\"\"", Some("a\\\nb")),
            ("\"quoted\"", Some("\"quoted\"")),
            ("a \"\"\"", Some("a \"\"\"")),
        ] {
            assert_eq!(message(typed).as_deref(), expected, "{typed}");
        }
        assert_eq!(cut_message("\"\"\"\na"), "a");
        assert_eq!(cut_message("a\\"), "a");
    }
}
