//! The subcommands. One is one file with `Arguments` (flags, help, examples) and `run`, and its line in the table here.
//! `gguf` has subcommands of its own, in the same way.

use std::ffi::OsString;

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

mod bench;
mod chat;
mod convert;
mod gguf;
mod imatrix;
mod info;
mod list;
mod logits;
mod perplexity;
mod pull;
mod quantize;
mod report;
mod rm;
mod run;
mod tokenize;

commands! {
    Run => run,
    Chat => chat,
    Info => info,
    Tokenize => tokenize,
    Perplexity => perplexity,
    Bench => bench,
    Logits => logits,
    Convert => convert,
    Quantize => quantize,
    Imatrix => imatrix,
    Gguf => gguf,
    Report => report,
    Pull => pull,
    List => list,
    Rm => rm,
}

/// The flags of two letters behind one dash that llama.cpp's users have in their fingers, by command.
const TWO_LETTERS: &[(&str, &[(&str, &str)])] =
    &[("bench", &[("-pg", "--prompt-generate"), ("-np", "--parallel"), ("-ub", "--ubatch")])];

/// The words of a command line with flags of two letters replaced by their long form.
pub fn spelled_out(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let Some((_, flags)) = TWO_LETTERS.iter().find(|(command, _)| words.get(1).is_some_and(|word| word == command))
    else {
        return words;
    };
    for word in words.iter_mut().skip(2).take_while(|word| *word != "--") {
        if let Some((_, long)) = flags.iter().find(|(short, _)| *word == *short) {
            *word = OsString::from(long);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_two_letters_are_spelled_out_where_they_belong() {
        for (given, wanted) in [
            ("ascua bench m -pg 1,2 -np 4", "ascua bench m --prompt-generate 1,2 --parallel 4"),
            ("ascua bench -- -np", "ascua bench -- -np"),
            ("ascua run -np", "ascua run -np"),
        ] {
            let words = spelled_out(given.split(' ').map(OsString::from));
            assert_eq!(words, wanted.split(' ').map(OsString::from).collect::<Vec<_>>(), "{given}");
        }
    }
}
