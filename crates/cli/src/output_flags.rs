//! The flags of every command that answers with one report, and of every command that writes files.

use ascua::gguf::Overwrite;
use clap::Args;
use serde::Serialize;

use crate::output;

/// `--json`.
#[derive(Args, Clone, Copy, Debug)]
pub struct JsonFlag {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl JsonFlag {
    /// Prints the report as JSON where that is asked for, else as the lines people read.
    pub fn print<R: Serialize>(self, report: &R, lines: impl FnOnce(&R) -> Vec<String>) -> anyhow::Result<()> {
        if self.json { output::json(report) } else { Ok(output::lines(&lines(report))?) }
    }
}

/// `--force`.
#[derive(Args, Clone, Copy, Debug)]
pub struct ForceFlag {
    /// Replace what is at the output
    #[arg(long)]
    force: bool,
}

impl ForceFlag {
    /// The same as the library takes it.
    pub fn overwrite(self) -> Overwrite {
        if self.force { Overwrite::Replace } else { Overwrite::Never }
    }
}
