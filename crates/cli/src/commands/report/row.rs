//! The report as data, and as a table in Markdown.

use std::fmt::Write as _;

use ascua_eval::{Measured, Quality};
use serde::{Deserialize, Serialize};

/// What the figures depend on; a report goes on only where they are the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub model: String,
    pub model_bytes: u64,
    pub text: String,
    pub text_bytes: u64,
    pub imatrix: Option<String>,
    pub window: usize,
    pub chunks: Option<usize>,
    pub prompt: usize,
    pub generation: usize,
    pub runs: usize,
    pub threads: usize,
    /// Threads for prompts, where they are not as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_threads: Option<usize>,
    pub isa: String,
    pub precision: String,
}

/// A number and its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    pub value: f64,
    pub stderr: f64,
}

impl From<Measured> for Number {
    fn from(Measured { value, standard_error }: Measured) -> Number {
        Number { value, stderr: standard_error }
    }
}

/// One file type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    #[serde(rename = "type")]
    pub file_type: String,
    /// Whether this is the model all others come from.
    pub source: bool,
    /// Bytes of the tensors.
    pub bytes: u64,
    pub bits_per_weight: f64,
    pub ppl: Number,
    pub kl_divergence: Option<Number>,
    pub same_top: Option<Number>,
    pub prompt_tokens_per_second: Option<f64>,
    pub generation_tokens_per_second: Option<f64>,
    pub quantise_seconds: Option<f64>,
}

impl Row {
    pub fn new(file_type: &str, (bytes, elements): (u64, u64), quality: &Quality) -> Row {
        Row {
            file_type: file_type.to_owned(),
            source: quality.divergence.is_none(),
            bytes,
            bits_per_weight: bytes as f64 * 8.0 / elements as f64,
            ppl: quality.perplexity.into(),
            kl_divergence: quality.divergence.map(Number::from),
            same_top: quality.same_top.map(Number::from),
            prompt_tokens_per_second: quality.prompt_speed,
            generation_tokens_per_second: quality.generation_speed,
            quantise_seconds: None,
        }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub settings: Settings,
    pub rows: Vec<Row>,
}

impl Report {
    /// The rows by size, the largest first.
    pub fn sort(&mut self) {
        self.rows.sort_by(|a, b| b.source.cmp(&a.source).then(b.bytes.cmp(&a.bytes)));
    }

    /// The table with what it is of.
    pub fn markdown(&self) -> String {
        let Settings { model, text, imatrix, window, chunks, prompt, generation, .. } = &self.settings;
        let Settings { threads, prompt_threads, isa, precision, .. } = &self.settings;
        let for_prompts = prompt_threads.map_or(String::new(), |threads| format!(" ({threads} for prompts)"));
        let windows = chunks.map_or("all".to_owned(), |chunks| chunks.to_string());
        let with = imatrix.as_ref().map_or(String::new(), |file| format!(", importance matrix {file}"));
        let mut text = format!(
            "# {model}\n\n\
             Perplexity and Kullback–Leibler divergence from the source on {text}: {windows} windows of {window} tokens, the \
             second half of each scored{with}. Speed with {threads} threads{for_prompts}, {isa}, {precision} arithmetic.\n\n\
             | type | size | bits per weight | perplexity | KL divergence | same top token | pp{prompt} t/s | tg{generation} \
             t/s |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
        );
        let none = || "–".to_owned();
        for row in &self.rows {
            let name = if row.source { format!("{} (source)", row.file_type) } else { row.file_type.clone() };
            let speed = |speed: Option<f64>| speed.map_or_else(none, |speed| format!("{speed:.1}"));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {name} | {} | {:.2} | {:.3} ± {:.3} | {} | {} | {} | {} |",
                crate::quantity::bytes(row.bytes),
                row.bits_per_weight,
                row.ppl.value,
                row.ppl.stderr,
                row.kl_divergence.map_or_else(none, |kl| format!("{:.5} ± {:.5}", kl.value, kl.stderr)),
                row.same_top.map_or_else(none, |same| format!("{:.2} %", same.value * 100.0)),
                speed(row.prompt_tokens_per_second),
                speed(row.generation_tokens_per_second),
            );
        }
        text
    }
}
