//! Perplexity on a text, with the probabilities saved where that is asked for.

use std::io::Write as _;

use anyhow::Context as _;
use ascua::Flow;
use ascua::gguf::AtomicFile;
use ascua::tokenizer::EncodeOptions;
use ascua_eval::{Estimate, PerplexityOptions, perplexity, perplexity_saving, strided, strided_context};
use serde::Serialize;

use super::Arguments;
use crate::failure::Status;
use crate::interrupt::Watch;
use crate::output;
use crate::progress::CountProgress;

#[derive(Serialize)]
struct Report {
    ppl: f64,
    stderr: f64,
    chunks: Vec<f64>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Status> {
    let (window, stride) = (arguments.window(), arguments.ppl_stride);
    let context = stride.map_or(window, |stride| strided_context(window, stride));
    let file = arguments.text_file()?;
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut model = arguments.flags.load_with(&arguments.model, &arguments.options(context)?)?.model;
    let tokens = model.tokenizer()?.encode_bytes(&text, EncodeOptions::default());
    drop(text);
    let watch = Watch::new();
    let mut running = Vec::new();
    let mut written = Ok(());
    let mut progress = CountProgress::new("scoring", "chunks");
    let mut on_chunk = |estimate: Estimate| {
        running.push(estimate.perplexity);
        if arguments.json {
            progress.report(estimate.chunks, estimate.total);
        } else {
            let line = format!("[{}/{}] {:.4}", estimate.chunks, estimate.total, estimate.perplexity);
            written = output::line(&line).and_then(|()| std::io::stdout().flush());
        }
        if watch.is_raised() || written.is_err() { Flow::Stop } else { Flow::Continue }
    };
    let options = PerplexityOptions { window, chunks: arguments.chunks };
    let estimate = match (stride, &arguments.logits_file) {
        (Some(stride), _) => strided(&mut model, &tokens, options, stride, &mut on_chunk)?,
        (None, None) => perplexity(&mut model, &tokens, options, &mut on_chunk)?,
        (None, Some(path)) => {
            let failed = || format!("cannot write {}", path.display());
            let mut out = AtomicFile::create(path).with_context(failed)?;
            let estimate = perplexity_saving(&mut model, &tokens, options, &mut out, &mut on_chunk)?;
            if watch.is_raised() {
                output::note("stopped; the file of probabilities was not written");
            } else {
                out.commit().with_context(failed)?;
            }
            estimate
        }
    };
    drop(progress);
    written?;
    if let Some(estimate) = estimate {
        if arguments.json {
            output::json(&Report { ppl: estimate.perplexity, stderr: estimate.standard_error, chunks: running })?;
        } else {
            output::line(&format!("perplexity {:.4} ± {:.4}", estimate.perplexity, estimate.standard_error))?;
        }
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}
