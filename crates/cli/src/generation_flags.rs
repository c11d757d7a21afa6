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

    /// End the answer before this text; may be given several times
    #[arg(long, visible_alias = "reverse-prompt", value_name = "TEXT")]
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
