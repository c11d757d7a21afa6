//! Colour, only where a person looks: on a terminal, and not against `NO_COLOR` (<https://no-color.org>).

use std::io::{IsTerminal, stderr, stdout};

/// Wraps text in colours, or leaves it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// For what is written to standard output.
    pub fn of_stdout() -> Style {
        Style { coloured: stdout().is_terminal() && allowed() }
    }

    /// For what is written to standard error.
    pub fn of_stderr() -> Style {
        Style { coloured: stderr().is_terminal() && allowed() }
    }

    /// What went wrong.
    pub fn error(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// What is doubtful.
    pub fn warning(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    /// What can be done.
    pub fn hint(self, text: &str) -> String {
        self.wrap("1;36", text)
    }

    /// A title or name.
    pub fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What is of less interest.
    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}
