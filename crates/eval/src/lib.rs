//! TOOL: measures a model: perplexity on a text, activations, logits of given tokens, speed of prompts and generation.
//!
//! Takes a loaded model and gives numbers; the program prints them.

mod bench;
pub mod choices;
mod imatrix;
mod log_softmax;
mod logits;
mod perplexity;
mod report;
mod roofline;
pub mod synthetic;
mod windows;

pub use bench::{BenchResult, BenchTest, bench, median};
pub use imatrix::{ImatrixError, ImatrixOptions, imatrix};
pub use logits::logits;
pub use perplexity::{
    BaseError, BaseLogits, DivergenceEstimate, Estimate, KlDivergence, Measured, PerplexityError, PerplexityOptions,
    kl_divergence, percentile, perplexity, perplexity_saving, strided, strided_context,
};
pub use report::{OnWindow, Quality, ReportOptions, measure_against, measure_source};
pub use roofline::ModelWork;
pub use windows::TextError;
