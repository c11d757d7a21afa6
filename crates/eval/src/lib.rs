//! TOOL: measures a model: perplexity on a text, logits of given tokens, speed of prompts and generation.
//!
//! Takes a loaded model and gives numbers; the program prints them.

mod bench;
mod logits;
mod perplexity;

pub use bench::{BenchResult, BenchTest, bench};
pub use logits::logits;
pub use perplexity::{Estimate, PerplexityError, PerplexityOptions, perplexity};
