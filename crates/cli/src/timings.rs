//! How long an answer took, for people (`-v`) and for scripts (`--json`).

use std::time::Duration;

use ascua::Summary;
use serde::Serialize;

use crate::quantity::rate;

/// Times of one answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timings {
    load_seconds: f64,
    prompt_tokens: usize,
    reused_tokens: usize,
    prompt_seconds: f64,
    prompt_tokens_per_second: f64,
    generated_tokens: usize,
    generation_seconds: f64,
    generation_tokens_per_second: f64,
}

impl Timings {
    /// Of a finished generation. The first token comes from the prompt's own logits and costs no step, so the speed is
    /// that of the others.
    pub fn new(summary: &Summary, load: Duration) -> Timings {
        Timings {
            load_seconds: load.as_secs_f64(),
            prompt_tokens: summary.prompt_tokens,
            reused_tokens: summary.reused_tokens,
            prompt_seconds: summary.prompt_time.as_secs_f64(),
            prompt_tokens_per_second: rate(summary.prompt_tokens, summary.prompt_time),
            generated_tokens: summary.tokens.len(),
            generation_seconds: summary.generation_time.as_secs_f64(),
            generation_tokens_per_second: rate(summary.tokens.len().saturating_sub(1), summary.generation_time),
        }
    }

    /// Lines for standard error.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.load_seconds > 0.0 {
            lines.push(format!("load    {:.2} s", self.load_seconds));
        }
        let reused = match self.reused_tokens {
            0 => String::new(),
            reused => format!(", {reused} more were in the cache"),
        };
        lines.push(format!(
            "prompt  {} tokens in {:.2} s: {:.1} tokens/s{reused}",
            self.prompt_tokens, self.prompt_seconds, self.prompt_tokens_per_second
        ));
        lines.push(format!(
            "answer  {} tokens in {:.2} s: {:.1} tokens/s",
            self.generated_tokens, self.generation_seconds, self.generation_tokens_per_second
        ));
        lines
    }
}
