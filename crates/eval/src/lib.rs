//! TOOL: measures a model: perplexity on a text, logits of given tokens, speed of prompts and generation.
//!
//! Takes a loaded model and gives numbers; the program prints them.

mod bench;
mod logits;
mod perplexity;
mod roofline;
pub mod synthetic;

pub use bench::{BenchResult, BenchTest, bench, median};
pub use logits::logits;
pub use perplexity::{Estimate, PerplexityError, PerplexityOptions, perplexity};
pub use roofline::ModelWork;
