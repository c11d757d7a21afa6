//! `ascua tokenize`: a text as the model sees it.
//!
//! Needs the header of the file only, so it works with vocabularies without weights.

use std::io::{Read, Write, stdin};
use std::path::PathBuf;

use anyhow::Context as _;
use ascua::gguf::Gguf;
use ascua::tokenizer::{AddSpecial, EncodeOptions, ParseSpecial, TokenType, Tokenizer, TokenizerOptions};
use clap::Args;
use serde::Serialize;

use crate::failure::{Status, usage};
use crate::model_flags::tell_warnings;
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::terminal::Style;

const AFTER_HELP: &str = "\
Examples:
  ascua tokenize smollm2 \"Hello, world\"
  ascua tokenize model.gguf --file text.txt --ids
  echo -n \"<|im_start|>user\" | ascua tokenize smollm2 --parse-special --no-special --ids
  ascua tokenize model.gguf --file strings.bin --nul --ids      a line of ids for each string

Without TEXT and --file the text comes from standard input, to its end.

Exit codes: 0 success, 1 failure, 2 wrong usage";

/// Show the tokens of a text
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    model: String,

    /// Text
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    text: Option<String>,

    /// Read the text from a file, byte for byte; `-`: from standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The file holds several strings with a NUL between them
    #[arg(long, conflicts_with = "text")]
    nul: bool,

    /// Do not add the tokens that the model wants around a text
    #[arg(long)]
    no_special: bool,

    /// Read control tokens written out in the text as those tokens
    #[arg(long)]
    parse_special: bool,

    /// Print ids only, separated by blanks
    #[arg(long)]
    ids: bool,

    /// Print a JSON array for each string: of tokens, or with --ids of numbers
    #[arg(long)]
    json: bool,

    /// Pre-tokenizer to use instead of the one the file names
    #[arg(long, value_name = "NAME")]
    pre_tokenizer: Option<String>,

    #[command(flatten)]
    source: SourceFlags,
}

/// A token for `--json`.
#[derive(Serialize)]
struct Token {
    id: u32,
    piece: String,
    #[serde(rename = "type")]
    token_type: &'static str,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let path = model_source::resolve(&arguments.model, &arguments.source)?;
    let file = Gguf::open_header(&path)?;
    let options = TokenizerOptions { pre_tokenizer_override: arguments.pre_tokenizer.clone() };
    let tokenizer = Tokenizer::from_metadata(file.metadata(), &options).map_err(ascua::Error::from)?;
    tell_warnings(&tokenizer);

    let text = arguments.read_text()?;
    let options = EncodeOptions {
        add_special: if arguments.no_special { AddSpecial::No } else { AddSpecial::Yes },
        parse_special: if arguments.parse_special { ParseSpecial::Yes } else { ParseSpecial::No },
    };
    let mut out = output::buffered();
    for (index, string) in arguments.strings(&text).enumerate() {
        let tokens = tokenizer.encode_bytes(string, options);
        match (arguments.ids, arguments.json) {
            (true, false) => write_ids(&mut out, &tokens)?,
            (true, true) => writeln!(out, "{}", serde_json::to_string(&tokens)?)?,
            (false, true) => {
                let tokens: Vec<Token> = tokens.iter().map(|&id| described(&tokenizer, id)).collect();
                writeln!(out, "{}", serde_json::to_string(&tokens)?)?;
            }
            (false, false) => {
                if index > 0 {
                    writeln!(out)?;
                }
                write_table(&mut out, &tokenizer, &tokens)?;
            }
        }
    }
    out.flush()?;
    Ok(Status::Done)
}

impl Arguments {
    fn read_text(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(text) = &self.text {
            return Ok(text.clone().into_bytes());
        }
        match self.file.as_deref().filter(|path| path.as_os_str() != "-") {
            Some(path) => std::fs::read(path).with_context(|| format!("cannot read text file `{}`", path.display())),
            None if self.file.is_none() && std::io::IsTerminal::is_terminal(&stdin()) => {
                Err(usage("there is no text", "ascua tokenize MODEL \"a text\", or --file FILE"))
            }
            None => {
                let mut text = Vec::new();
                stdin().lock().read_to_end(&mut text).context("cannot read standard input")?;
                Ok(text)
            }
        }
    }

    /// The whole text, or what stands between its NULs.
    fn strings<'a>(&self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let nul = self.nul;
        text.split(move |byte| nul && *byte == 0)
    }
}

fn write_ids(out: &mut impl Write, tokens: &[u32]) -> std::io::Result<()> {
    for (index, token) in tokens.iter().enumerate() {
        let blank = if index == 0 { "" } else { " " };
        write!(out, "{blank}{token}")?;
    }
    writeln!(out)
}

fn write_table(out: &mut impl Write, tokenizer: &Tokenizer, tokens: &[u32]) -> std::io::Result<()> {
    let style = Style::of_stdout();
    for &token in tokens {
        let piece = shown(tokenizer.token_bytes(token));
        match tokenizer.token_type(token) {
            TokenType::Normal => writeln!(out, "{token:>7}  {piece}")?,
            other => writeln!(out, "{token:>7}  {}  {}", style.strong(&piece), style.faint(name(other)))?,
        }
    }
    writeln!(out, "{}", style.faint(&format!("{} tokens", tokens.len())))
}

fn described(tokenizer: &Tokenizer, id: u32) -> Token {
    let piece = String::from_utf8_lossy(tokenizer.token_bytes(id)).into_owned();
    Token { id, piece, token_type: name(tokenizer.token_type(id)) }
}

fn name(token_type: TokenType) -> &'static str {
    match token_type {
        TokenType::Undefined => "undefined",
        TokenType::Normal => "normal",
        TokenType::Unknown => "unknown",
        TokenType::Control => "control",
        TokenType::UserDefined => "user-defined",
        TokenType::Unused => "unused",
        TokenType::Byte => "byte",
    }
}

/// A piece in quotes: whole characters as they are, anything else escaped.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().chars().flat_map(|character| match character {
            '"' => vec!['"'],
            other => other.escape_debug().collect(),
        }));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_show_what_cannot_be_seen() {
        for (bytes, expected) in [
            (&b" a"[..], "\" a\""),
            (b"\n\t", "\"\\n\\t\""),
            ("中".as_bytes(), "\"中\""),
            (b"\xe4\xb8", "\"\\xe4\\xb8\""),
            (b"a\xffb", "\"a\\xffb\""),
            (b"\x1b[1m", "\"\\u{1b}[1m\""),
            (b"", "\"\""),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }
}
