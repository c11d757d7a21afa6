//! The subcommands. One is one file with `Arguments` (flags, help, examples) and `run`, and its line in the table here.

mod info;
mod list;
mod pull;
mod rm;
mod run;
mod tokenize;

use crate::failure::Status;

macro_rules! commands {
    ($($variant:ident => $module:ident,)*) => {
        /// What to do.
        #[derive(clap::Subcommand)]
        pub enum Command {
            $(#[allow(missing_docs)] $variant($module::Arguments),)*
        }

        impl Command {
            /// Does it.
            pub fn run(self) -> anyhow::Result<Status> {
                match self {
                    $(Command::$variant(arguments) => $module::run(arguments),)*
                }
            }
        }
    };
}

commands! {
    Run => run,
    Info => info,
    Tokenize => tokenize,
    Pull => pull,
    List => list,
    Rm => rm,
}
