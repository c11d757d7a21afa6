//! The flags that say when an answer ends, shared by the commands that generate.

use ascua::tokenizer::SpecialRendering;
use ascua::{ContextFull, EndTokens, Request};
use clap::Args;

/// When an answer ends and what of it is shown.
#[derive(Args, Clone, Debug)]
pub struct GenerationFlags {
    /// Most tokens to generate; -1: until the model ends its answer or the context is full
    #[arg(long, short = 'n', visible_alias = "predict", value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    pub max_tokens: i64,

    /// End the answer before this text, in which `\n`, `\t` and `\\` are newline, tab and backslash; may be repeated
    #[arg(long, visible_alias = "reverse-prompt", value_name = "TEXT", value_parser = unescaped)]
    pub stop: Vec<String>,

    /// Go on after the model has ended its answer
    #[arg(long)]
    pub ignore_eos: bool,

    /// When the context is full, forget the older half of it and go on
    #[arg(long)]
    pub context_shift: bool,

    /// Tokens at the beginning that a context shift never forgets
    #[arg(long, value_name = "N", default_value_t = 0, requires = "context_shift")]
    pub keep: usize,

    /// Show control tokens in the text
    #[arg(long)]
    pub special: bool,
}

impl GenerationFlags {
    /// A request that continues `prompt` as the flags say.
    pub fn request<'a>(&self, prompt: &'a [u32]) -> Request<'a> {
        Request {
            max_tokens: usize::try_from(self.max_tokens).ok(),
            stops: self.stop.clone(),
            end_tokens: if self.ignore_eos { EndTokens::Ignore } else { EndTokens::Stop },
            context_full: if self.context_shift { ContextFull::Shift { keep: self.keep } } else { ContextFull::Stop },
            special: if self.special { SpecialRendering::Show } else { SpecialRendering::Hide },
            ..Request::new(prompt)
        }
    }
}

/// A text whose escapes are read; unknown ones stay as they are.
fn unescaped(text: &str) -> Result<String, std::convert::Infallible> {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        read.push_str(&rest[..at]);
        let (character, length) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'\\') => ('\\', 2),
            _ => ('\\', 1),
        };
        read.push(character);
        rest = &rest[at + length..];
    }
    read.push_str(rest);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        for (text, expected) in [
            ("a", "a"),
            (r"\n\nUser:", "\n\nUser:"),
            (r"\\n", r"\n"),
            (r"\d", r"\d"),
            (r"é\", r"é\"),
            (r"\é", r"\é"),
            ("", ""),
        ] {
            assert_eq!(unescaped(text).as_deref(), Ok(expected));
        }
    }
}
