//! The subcommands. One is one file with `Arguments` (flags, help, examples) and `run`, and its line in the table here.

mod bench;
mod chat;
mod info;
mod list;
mod logits;
mod perplexity;
mod pull;
mod quantize;
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
    Chat => chat,
    Info => info,
    Tokenize => tokenize,
    Perplexity => perplexity,
    Bench => bench,
    Logits => logits,
    Quantize => quantize,
    Pull => pull,
    List => list,
    Rm => rm,
}
